#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`tls_proxy.py CERTIFICATE FRONT-PORT BACK-HOST BACK-PORT`: takes TLS off, as Apache does for DevStack."""

import asyncio
import contextlib
import ssl
import sys


async def pass_on(reader, writer):
    with contextlib.suppress(OSError):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    writer.close()


async def main():
    certificate, front_port, back_host, back_port = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def connected(reader, writer):
        try:
            back_reader, back_writer = await asyncio.open_connection(back_host, int(back_port))
        except OSError:
            writer.close()
            return
        await asyncio.gather(pass_on(reader, back_writer), pass_on(back_reader, writer))

    server = await asyncio.start_server(connected, None, int(front_port), ssl=context)
    await server.serve_forever()


if __name__ == '__main__':
    asyncio.run(main())
