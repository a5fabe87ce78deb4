mkenv envs/mine
folder=.local/share/jupyter/kernels/saved-as-utf16
mkdir -p $folder
printf '{"argv": ["%s/envs/mine/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"], "display_name": "Zoë", "language": "python"}' "$HOME" | iconv -t UTF-16 > $folder/kernel.json
