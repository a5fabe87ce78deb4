"""What failing kernels wrote, and what must be said of it: the cases of test_classify.py."""

from __future__ import annotations

TRACEBACK = 'Traceback (most recent call last):\n  File "/g/entry.py", line 30, in main\n'


# code: status, output, words that the message and the hint must hold
STARTS = [
    (
        "ipykernel-missing",
        1,
        "/usr/bin/python3: No module named ipykernel_launcher",
        ["ipykernel is not installed", "kernelwright repair bert"],
    ),
    (
        "ipykernel-missing",
        1,
        TRACEBACK + "ModuleNotFoundError: No module named 'ipykernel'",
        ["ipykernel is not installed"],
    ),
    (
        "environment-damaged",
        1,
        TRACEBACK
        + "ImportError: /home/a b/.local/share/kernelwright/kernels/0123456789abcdef/2/env/lib/python3.11/site-packages/zmq/_zmq.so: invalid ELF header",
        ["/zmq/_zmq.so` of the environment is damaged", "kernelwright repair bert"],
    ),
    (
        "launch-script-missing",
        2,
        "/e/bin/python: can't open file '/k/1/entry.py': [Errno 2] No such file or directory",
        ["`/k/1/entry.py` is gone"],
    ),
    (
        "kernel-package-missing",
        1,
        "/usr/bin/python3: No module named bash_kernel",
        ["not installed"],
    ),
    (
        "kernel-package-missing",
        1,
        "Error in loadNamespace(x) : there is no package called ‘IRkernel’\nExecution halted",
        ["IRkernel for R"],
    ),
    (
        "kernel-package-missing",
        1,
        "ERROR: ArgumentError: Package IJulia not found in current path.",
        ["IJulia for Julia"],
    ),
    (
        "import-error",
        1,
        TRACEBACK + "ImportError: cannot import name 'Iterable' from 'collections'",
        ["cannot import name 'Iterable'", "kernelwright update bert"],
    ),
    (
        "library-missing",
        127,
        "/e/bin/python: error while loading shared libraries: libpython3.9.so.1.0: cannot open shared object file: No such file or directory",
        ["`libpython3.9.so.1.0`"],
    ),
    (
        "library-missing",
        1,
        TRACEBACK
        + "ImportError: libmkl_rt.so.2: cannot open shared object file: No such file or directory",
        ["`libmkl_rt.so.2`"],
    ),
    (
        "library-shadowed",
        127,
        "/e/bin/python: error while loading shared libraries: /opt/gcc/lib/libz.so.1: file too short",
        ["LD_LIBRARY_PATH"],
    ),
    (
        "library-shadowed",
        1,
        "ImportError: /usr/lib/libcrypto.so.3: version `OPENSSL_3.2.0' not found (required by /e/lib/python3.12/lib-dynload/_ssl.so)",
        ["another version"],
    ),
    (
        "library-shadowed",
        1,
        "ImportError: /e/lib/_zmq.so: undefined symbol: PyUnicode_AsUTF8",
        ["LD_LIBRARY_PATH"],
    ),
    (
        "glibc-too-old",
        1,
        "/e/bin/python: /lib64/libc.so.6: version `GLIBC_2.34' not found (required by /e/bin/python)",
        ["GLIBC_2.34", "`/e/bin/python`", "kernelwright update bert"],
    ),
    (
        "libstdcxx-too-old",
        1,
        "ImportError: /lib64/libstdc++.so.6: version `GLIBCXX_3.4.30' not found (required by /e/lib/zmq.so)",
        ["GLIBCXX_3.4.30", "`/lib64/libstdc++.so.6`"],
    ),
    (
        "python-home-broken",
        1,
        "Fatal Python error: init_fs_encoding: failed\nModuleNotFoundError: No module named 'encodings'",
        ["base Python is gone"],
    ),
    ("illegal-instruction", 132, "", ["Illegal instruction"]),
    ("illegal-instruction", -4, "", ["Illegal instruction"]),
    ("kernel-crashed", 139, "", ["segmentation fault"]),
    ("kernel-killed", -9, "", ["SIGKILL"]),
    ("cpu-limit", 152, "", ["login nodes"]),
    (
        "wrong-architecture",
        126,
        "/g/start.sh: line 200: /e/bin/python: cannot execute binary file: Exec format error",
        ["`/e/bin/python`"],
    ),
    (
        "interpreter-not-found",
        127,
        "/g/start.sh: line 200: /e/bin/python: No such file or directory",
        ["`/e/bin/python` does not exist", "kernelwright repair bert"],
    ),
    (
        "interpreter-not-found",
        126,
        "/g/start.sh: line 9: /e/bin/jupyter: /old/bin/python3: bad interpreter: No such file or directory",
        ["`/old/bin/python3`"],
    ),
    (
        "interpreter-not-found",
        127,
        "/h/s.sh: line 5: exec: python: not found",
        ["`python` is not found"],
    ),
    (
        "script-not-executable",
        126,
        "/g/start.sh: line 200: /h/my helper.sh: Permission denied",
        ["`/h/my helper.sh`", "chmod u+x"],
    ),
    (
        "disk-full",
        1,
        TRACEBACK + "OSError: [Errno 122] Disk quota exceeded: '/home/u/.ipython/profile_default'",
        ["no space left", "storage --clean"],
    ),
    ("disk-full", 1, "OSError: [Errno 28] No space left on device", ["no space left"]),
    (
        "home-unwritable",
        1,
        "PermissionError: [Errno 13] Permission denied: '/home/u/.ipython/profile_default'",
        ["`/home/u/.ipython/profile_default`"],
    ),
    (
        "runtime-folder-missing",
        1,
        "PermissionError: [Errno 13] Permission denied: '/run/user/1000'",
        ["XDG_RUNTIME_DIR"],
    ),
    (
        "connection-file-invisible",
        1,
        "connection file /run/user/7/jupyter/kernel-1.json cannot be read",
        ["bind it"],
    ),
    (
        "address-in-use",
        1,
        "zmq.error.ZMQError: Address already in use (addr='tcp://127.0.0.1:4')",
        ["restart the kernel"],
    ),
    ("out-of-memory", 1, TRACEBACK + "MemoryError", ["more memory"]),
    (
        "user-site-leaks",
        1,
        'Traceback\n  File "/home/u/.local/lib/python3.9/site-packages/traitlets/x.py", line 3, in <module>\n    import typing\nAttributeError: module',
        ["~/.local", "user_site: false"],
    ),
    (
        "bind-missing",
        255,
        "FATAL:   container creation failed: mount source /scratch/x doesn't exist",
        ["does not exist on this node"],
    ),
    (
        "image-unusable",
        255,
        "FATAL:   could not open image /i/a.sif: failed to retrieve path for /i/a.sif: lstat /i: no such file or directory",
        ["image"],
    ),
    (
        "command-not-in-image",
        255,
        'FATAL:   "python3": executable file not found in $PATH',
        ["does not hold the program"],
    ),
    (
        "command-not-in-image",
        255,
        "FATAL:   stat /usr/bin/python3: no such file or directory",
        ["does not hold the program", "kernelwright update"],
    ),
    ("kernel-ended", 3, "some last words", ["exit status 3 before it answered"]),
    ("kernel-silent", None, "", ["did not answer"]),
]
