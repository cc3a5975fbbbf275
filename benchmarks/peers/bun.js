// Bun's built-in publish: topics kept by the server itself, natively.

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.env.PORT),
  fetch(request, server) {
    if (!server.upgrade(request)) return new Response("a WebSocket is wanted", { status: 426 });
  },
  websocket: {
    message(socket, text) {
      if (text.startsWith("+")) {
        socket.subscribe(text.slice(1));
        socket.send(text);
      } else {
        server.publish("bench", text);
      }
    },
  },
});
