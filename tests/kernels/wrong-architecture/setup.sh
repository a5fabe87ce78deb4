mkenv envs/mine
rm envs/mine/bin/python
printf '\177ELF\002\001\001\000\000\000\000\000\000\000\000\000\002\000\267\000\001\000\000\000' > envs/mine/bin/python
head -c 200 /dev/zero >> envs/mine/bin/python
chmod +x envs/mine/bin/python
