mkenv envs/mine
mkdir -p old/zmq && echo 'raise ImportError("zmq of another Python")' > old/zmq/__init__.py
