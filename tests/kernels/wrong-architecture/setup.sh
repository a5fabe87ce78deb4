mkenv envs/work
rm envs/work/bin/python
printf '\177ELF\002\001\001\000\000\000\000\000\000\000\000\000\002\000\267\000\001\000\000\000' > envs/work/bin/python
head -c 200 /dev/zero >> envs/work/bin/python
chmod +x envs/work/bin/python
