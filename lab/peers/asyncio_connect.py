# Connects to HOST PORT by Python's asyncio with Happy Eyeballs and prints the milliseconds it took.
import asyncio
import sys
import time


async def main(host, port):
    start = time.perf_counter()
    # asyncio races attempts only when a delay is given; 250 ms is the one that RFC 8305 recommends.
    _, writer = await asyncio.open_connection(host, port, happy_eyeballs_delay=0.25)
    print((time.perf_counter() - start) * 1000)
    writer.close()


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
