"""One Open OnDemand session on its compute node: request.json in, a prepared Jupyter server out.

`prepare` is called by template/before.sh, `ending` and `cleaning` by script.sh and clean.sh. Nothing here
is imported by the other rooms.
"""
