#!/bin/bash
exec @PYTHON@ -m ipykernel_launcher "$@"
