"""`python -m kernelwright`: the same as the command; a listing that nothing has changed is only read."""

import os
import sys


def _run() -> int:
    if sys.argv[1:] == ["list", "--json"]:
        from .known import answer

        text = answer(os.environ)
        if text is not None:
            print(text)
            return 0
    from .cli import main

    return main()


sys.exit(_run())
