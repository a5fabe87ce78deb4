kernelwright create venv scratch-purged --python /usr/bin/python3 --no-test
rm -r $(dirname $(grep -l scratch-purged .local/share/kernelwright/kernels/*/1/recipe.yml))/env
