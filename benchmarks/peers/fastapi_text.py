"""FastAPI, the tutorial's way: a list of connections, and `send_text` to one after another."""

from fastapi import FastAPI, WebSocket, WebSocketDisconnect


class ConnectionManager:
    """Knows who is connected."""

    def __init__(self) -> None:
        self.active: list[WebSocket] = []

    async def connect(self, websocket: WebSocket) -> None:
        """Let a client in."""
        await websocket.accept()
        self.active.append(websocket)

    def disconnect(self, websocket: WebSocket) -> None:
        """Forget a client."""
        self.active.remove(websocket)

    async def broadcast(self, message: str) -> None:
        """Send a message to everybody."""
        for connection in self.active:
            await connection.send_text(message)


app = FastAPI()
manager = ConnectionManager()


@app.websocket("/ws")
async def chat(websocket: WebSocket) -> None:
    """What one says, all get."""
    await manager.connect(websocket)
    try:
        while True:
            await manager.broadcast(await websocket.receive_text())
    except WebSocketDisconnect:
        manager.disconnect(websocket)
