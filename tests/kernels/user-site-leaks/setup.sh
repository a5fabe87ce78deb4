mkenv --own envs/mine
version=$(basename $(dirname envs/mine/lib/python3.*/dist-packages))
folder=.local/lib/$version/site-packages
mkdir -p $folder/traitlets $folder/traitlets-4.0.dist-info
echo 'raise ImportError("traitlets of another time")' > $folder/traitlets/__init__.py
