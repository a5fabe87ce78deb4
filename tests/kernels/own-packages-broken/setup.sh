mkenv envs/mine
kernelwright create prefix own-packages-broken envs/mine --no-test
folder=$(echo envs/mine/lib/python3.*/site-packages/traitlets)
rm -r $folder && mkdir $folder
echo 'raise ImportError("cannot import name Undefined from traitlets")' > $folder/__init__.py
