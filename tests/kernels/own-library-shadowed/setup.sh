mkenv envs/mine
mkdir -p modules/lib && touch modules/lib/libz.so.1 modules/lib/libexpat.so.1
kernelwright create prefix own-library-shadowed envs/mine --env "LD_LIBRARY_PATH=$HOME/modules/lib" --no-test
