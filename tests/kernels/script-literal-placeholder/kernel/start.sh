#!/bin/bash
# "$@" is not used
exec @PYTHON@ -m ipykernel_launcher -f {connection_file}
