mkenv envs/mine
folder=.local/share/jupyter/kernels/saved-with-bom
mkdir -p $folder
printf '\357\273\277{"argv": ["%s/envs/mine/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"], "display_name": "Zoë", "language": "python"}' "$HOME" > $folder/kernel.json
