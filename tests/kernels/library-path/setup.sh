mkenv envs/mine
mkdir -p modules/lib && touch modules/lib/libz.so.1 modules/lib/libexpat.so.1
