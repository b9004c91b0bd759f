"""A way that cuts: passes bytes on to a port, and now and then breaks a connection in the middle.

    python3 -m hi.proxy PORT SEED

Prints its own port. Commands on stdin: `cut` resets all connections, `freeze S` passes nothing on
for so many seconds and tells nobody, `calm` breaks nothing any more.
"""
import asyncio
import contextlib
import random
import socket
import struct
import sys

CUT_ONCE_IN = 4000  # pieces of a stream
PIECE = 16384


class Way:
    def __init__(self, port, seed):
        self.port, self.rng, self.calm = port, random.Random(seed), False
        self.writers, self.thawed = set(), asyncio.Event()
        self.thawed.set()

    @staticmethod
    def reset(writer):
        """Both peers see a reset, and lose what was on its way."""
        if sock := writer.get_extra_info("socket"):
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async def pump(self, reader, writer, other):
        try:
            while data := await reader.read(PIECE):
                await self.thawed.wait()
                if not self.calm and self.rng.randrange(CUT_ONCE_IN) == 0:
                    writer.write(data[:self.rng.randrange(len(data))])
                    break
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        self.reset(writer)
        self.reset(other)

    async def pass_on(self, reader, writer):
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            self.reset(writer)
            return
        both = {writer, far_writer}
        self.writers |= both
        await asyncio.gather(self.pump(reader, far_writer, writer), self.pump(far_reader, writer, far_writer))
        self.writers -= both

    async def obey(self, line):
        if line == ["cut"]:
            for writer in list(self.writers):
                self.reset(writer)
        elif line[:1] == ["freeze"]:
            self.thawed.clear()
            await asyncio.sleep(float(line[1]))
            self.thawed.set()
        elif line == ["calm"]:
            self.calm = True

    async def run(self):
        server = await asyncio.start_server(self.pass_on, "127.0.0.1", 0, backlog=1024)
        print(server.sockets[0].getsockname()[1], flush=True)
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            await self.obey(line.split())


if __name__ == "__main__":
    asyncio.run(Way(int(sys.argv[1]), int(sys.argv[2])).run())
