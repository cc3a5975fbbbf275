// Socket.IO on Node: rooms, and an emit to a room.

import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
const io = new Server(http);

io.on("connection", (socket) => {
  socket.on("subscribe", (channel, done) => {
    socket.join(channel);
    done();
  });
  socket.on("publish", (text) => io.to("bench").emit("message", text));
});

http.listen(Number(process.env.PORT), "127.0.0.1");
