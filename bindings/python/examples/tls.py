"""A connection counts when its handshake of TLS is done: tls.py HOST PORT [CERTIFICATE]

Handshakes with several addresses go on at the same time, the first to finish wins, and the others are cancelled.
"""

import asyncio
import ssl
import sys

from happysock import aio


async def main(host, port, certificate=None):
    context = ssl.create_default_context(cafile=certificate)

    async def handshake(sock):
        return await asyncio.open_connection(sock=sock, ssl=context, server_hostname=host)

    reader, writer = await aio.confirmed(handshake, host, port, timeout=30)
    print((await reader.read(64)).decode())
    writer.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
