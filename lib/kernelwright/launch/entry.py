"""Starts ipykernel inside a kernel's environment. Standard library only, Python 3.6 or later.

Copied by Kernelwright into each generation and run by launch.sh as
`PYTHON entry.py [--inject FOLDER] -f CONNECTION_FILE [ipykernel's options]`. With --inject, ipykernel
comes from FOLDER where the environment has none: it is put last, so that the environment's own wins.
"""

import os
import sys


def main(argv):
    """Start the kernel; returns when it has ended."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [p for p in sys.path if p not in ("", here, os.getcwd())]
    ready = os.environ.pop("KERNELWRIGHT_READY", None)
    if argv[:1] == ["--inject"]:
        sys.path.append(argv[1])
        argv = argv[2:]
    from ipykernel import kernelapp

    class IPKernelApp(kernelapp.IPKernelApp):  # of the same name: settings go by class name
        """ipykernel's own application, without its limit on unread output."""

        def _bind_socket(self, s, port):
            import zmq

            if s.type in (zmq.PUB, getattr(zmq, "XPUB", None)):
                s.setsockopt(zmq.SNDHWM, 0)
            return kernelapp.IPKernelApp._bind_socket(self, s, port)

    app = IPKernelApp.instance()
    app.initialize(argv)
    if ready:
        os.write(int(ready), b"up\n")
        os.close(int(ready))
    app.start()


if __name__ == "__main__":
    main(sys.argv[1:])
