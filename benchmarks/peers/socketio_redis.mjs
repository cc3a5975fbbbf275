// Socket.IO on several nodes: the same rooms, and the Redis adapter between the nodes.

import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const publisher = createClient({ url: process.env.REDIS_URL });
const subscriber = publisher.duplicate();
await Promise.all([publisher.connect(), subscriber.connect()]);

const http = createServer();
const io = new Server(http, { adapter: createAdapter(publisher, subscriber) });

io.on("connection", (socket) => {
  socket.on("subscribe", (channel, done) => {
    socket.join(channel);
    done();
  });
  socket.on("publish", (text) => io.to("bench").emit("message", text));
});

http.listen(Number(process.env.PORT), "127.0.0.1");
