mkenv --bare stack/python
cat > stack/loadStack.bash <<'S'
setup() { export STACK_PRODUCT="$1"; }
export PATH="$HOME/stack/python/bin:$PATH"
S
cat > stack/stack-kernel.sh <<'S'
#!/bin/bash
source "$HOME/stack/loadStack.bash"
setup stack_distrib
exec python -m ipykernel $@
S
chmod +x stack/stack-kernel.sh
