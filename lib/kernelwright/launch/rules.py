r"""The signs by which a failed start is known, most telling first: data for `classify`.

A rule is a code, the pattern that its sign matches in the output, one sentence and the remedy. Both are
format strings over the pattern's named groups and the fields of `classify.Start`. A sign was seen in
the wild or made on purpose (tests/launch/test_classify.py has the words of each).
"""

from __future__ import annotations

from .module_rules import MODULE_RULES
from .rule import rule as _rule

REPAIR = "`{command} repair {name}` mends it, then restart the kernel"
REBUILD = "`{command} update {name}` builds the environment anew on this system"
UNCLEAR = "the evidence says what ended it; `{command} update {name}` builds the environment anew"
UNCLEAR_OTHER = "the evidence says what ended it; `{command} shell {name}` opens a shell in the same environment"
OWN_FILES = "IPython runs `{files}` at each start: move it away and start the kernel again"
EDIT = "`{command} edit {name}` changes the recipe"

RULES = (
    *MODULE_RULES,
    # the file that is started
    _rule(
        "script-crlf",
        r"(?P<what>\S+): (?:\S*\^M|\S*\r): bad interpreter|\\r': command not found|(?P<other>\S+): cannot execute: required file not found",
        "the start script has line ends of Windows, so that its first line names no program",
        "`sed -i 's/\\r$//' {script}` takes them out",
        kind="script",
    ),
    _rule(
        "interpreter-not-found",
        r"(?P<what>/\S+): (?P<line>\S+): bad interpreter: (?:No such file or directory|Permission denied)",
        "`{what}` names `{line}` as its interpreter, which is not there",
        REPAIR,
    ),
    _rule(
        "wrong-architecture",
        r"(?P<what>/[^:\n]+): cannot execute binary file|Exec format error: '(?P<other>[^'\n]+)'",
        "`{what}` was built for another kind of processor than this node's ({machine})",
        "start it on a node like the one it was built on, or build it here: `{command} update {name}`",
    ),
    _rule(
        "script-not-executable",
        r"(?:line \d+: )(?P<what>/[^\n]+?): Permission denied",
        "`{what}` may not be run: it has no execute permission, or its folder is closed to you",
        "`chmod u+x {what}`",
    ),
    _rule(
        "interpreter-not-found",
        r"(?:start|watch)\.sh: line \d+: (?P<what>[^\n]+?): (?:No such file or directory|command not found)",
        "`{what}` does not exist",
        "it was moved or removed: correct it in the recipe ({command} edit {name})",
        kind="script",
    ),
    _rule(
        "interpreter-not-found",
        r"(?:start|watch)\.sh: line \d+: (?P<what>[^\n]+?): (?:No such file or directory|command not found)",
        "`{what}` does not exist",
        "the environment was moved or removed; " + REPAIR,
    ),
    _rule(
        "interpreter-not-found",
        r"line \d+: (?:exec: )?(?P<what>[^\s:]+): (?:command )?not found$",
        "the program `{what}` is not found where the kernel starts",
        "give its full path, or load the module that brings it ({command} edit {name})",
    ),
    # the dynamic linker
    _rule(
        "glibc-too-old",
        r"version [`'](?P<what>GLIBC_[0-9.]+)' not found \(required by (?P<by>[^)]+)\)",
        "`{by}` needs a newer C library ({what}) than this node has",
        "it was built on a newer system; " + REBUILD,
    ),
    _rule(
        "libstdcxx-too-old",
        r"(?P<lib>[^\s:]+): version [`'](?P<what>(?:GLIBCXX|CXXABI)_[0-9.]+)' not found \(required by (?P<by>[^)]+)\)",
        "`{by}` needs {what}, and `{lib}` was found first and is older",
        "a module or LD_LIBRARY_PATH puts the older library first: take it out of the recipe ({command} edit {name}), or add libstdcxx-ng to the environment",
    ),
    _rule(
        "environment-damaged",
        r"(?P<what>/[^\n]*?/[0-9a-f]{16}/\d+/env/[^\n:]+): (?:file too short|invalid ELF header|cannot read file data)",
        "the file `{what}` of the environment is damaged",
        REPAIR,
    ),
    _rule(
        "library-shadowed",
        r"version [`'](?P<what>[^']+)' not found \(required by (?P<by>[^)]+)\)|(?P<lib>/\S+): (?:file too short|invalid ELF header)|undefined symbol: (?P<symbol>\w+)",
        "a shared library of another version or a broken one is found before the environment's own",
        "look at LD_LIBRARY_PATH: it comes from `modules` or `env` of the recipe ({command} edit {name})",
    ),
    _rule(
        "library-missing",
        r"(?:loading shared libraries: |ImportError: )(?P<what>[^\s:]+\.so[^\s:]*): cannot open shared object file",
        "the shared library `{what}` is not found on this node",
        "load the module that brings it (`{command} edit {name}`), or add its package to the environment",
    ),
    # Python before ipykernel
    _rule(
        "launch-script-missing",
        r"can't open file '(?P<what>[^'\n]+/entry\.py)'",
        "`{what}` is gone, with which the kernel starts",
        REPAIR,
    ),
    _rule(
        "python-home-broken",
        r"No module named 'encodings'|Could not find platform independent libraries",
        "the interpreter does not find its own standard library: the environment was moved, or its base Python is gone",
        REPAIR,
    ),
    _rule(
        "ipykernel-missing",
        r"No module named '?(?P<what>ipykernel(?:_launcher|\.\w+)?)'?",
        "ipykernel is not installed in the environment, so that Jupyter cannot talk to its Python",
        REPAIR,
    ),
    _rule(
        "kernel-package-missing",
        r"there is no package called .(?P<what>IRkernel).|Package (?P<julia>IJulia) not found|No module named '?(?P<python>\w+_kernel)'?",
        "the package with which this language talks to Jupyter is not installed in the environment",
        "install it in the environment (IRkernel for R, IJulia for Julia), then restart the kernel",
    ),
    # files and folders; before import errors, because Python wraps them
    _rule(
        "disk-full",
        r"(?:No space left on device|Disk quota exceeded)(?:: '?(?P<what>/[^'\n]+))?",
        "there is no space left where the kernel has to write",
        "`{command} storage` shows what takes space and `{command} storage --clean` frees what nothing uses; `quota -s` shows your limit",
    ),
    _rule(
        "connection-file-invisible",
        r"connection file (?P<what>\S+) cannot be read|FileNotFoundError: .*(?P<other>kernel-[\w-]+\.json)",
        "the kernel does not see the connection file with which Jupyter wants to talk to it",
        "its folder is not visible where the kernel runs: bind it into the container, or set JUPYTER_RUNTIME_DIR to a folder that is seen on all nodes",
    ),
    _rule(
        "runtime-folder-missing",
        r"(?:PermissionError|FileNotFoundError|Permission denied).*(?P<what>/run/user/\d+)",
        "`{what}` does not exist on this node, but XDG_RUNTIME_DIR names it",
        "unset XDG_RUNTIME_DIR in the start files of your shell",
    ),
    _rule(
        "home-unwritable",
        r"(?:Read-only file system|Permission denied): '?(?P<what>/[^'\n]+?/\.(?:ipython|local|jupyter|cache|config)[^'\n]*)",
        "`{what}` cannot be written",
        "look at its owner and permissions: `ls -ld {what}`",
    ),
    _rule(
        "address-in-use",
        r"Address already in use",
        "another process uses the network port that Jupyter chose for this kernel",
        "restart the kernel: Jupyter then chooses other ports",
    ),
    # containers
    _rule(
        "bind-missing",
        r"mount source (?P<what>\S+) doesn't exist|mount (?P<other>/\S+)->\S+ error",
        "a folder that should be bound into the container does not exist on this node",
        "correct the recipe's `bind` ({command} edit {name})",
    ),
    _rule(
        "command-not-in-image",
        r"FATAL:\s+stat (?P<what>\S+): no such file|executable file not found in \$PATH|\"(?P<other>[^\"]+)\": executable file not found",
        "the image does not hold the program that should run the kernel",
        "if the image is another now, `{command} update {name}` looks into it anew",
    ),
    _rule(
        "image-unusable",
        r"FATAL: .*(?:could not open image (?P<what>[^:\n]+)|image (?P<other>\S+) .*not|no such file or directory|not a valid|failed to retrieve path)",
        "the container image cannot be opened",
        REPAIR,
    ),
    # Python's own words
    _rule(
        "out-of-memory",
        r"^MemoryError|Cannot allocate memory|std::bad_alloc",
        "there was not enough memory to start",
        "ask for more memory when you start the session",
    ),
    _rule(
        "user-site-leaks",
        r"File \"(?P<what>[^\"]*/\.local/lib/python[^\"]*)\"[^\n]*\n(?:[ \t][^\n]*\n)*(?P<error>\w*(?:Error|Exception)[^\n]*)",
        "a package in ~/.local is used in place of the environment's own and fails: `{what}`",
        "set `isolation: {{user_site: false}}` in the recipe ({command} edit {name}), or remove the package: `pip uninstall`",
    ),
    _rule(
        "import-error",
        r"^(?P<error>(?:ModuleNotFoundError|ImportError|AttributeError): [^\n]+)",
        "the kernel's own packages cannot be imported: {error}",
        "packages of the environment do not fit together; `{command} update {name}` installs them anew",
    ),
)

# exit status (or signal + 128) -> code, sentence, remedy; looked at when no rule matched
STATUSES = {
    132: (
        "illegal-instruction",
        "the kernel used a processor instruction that this node does not have (Illegal instruction)",
        "it was built for a newer processor: ask for another kind of node, or " + REBUILD,
    ),
    134: (
        "kernel-crashed",
        "the kernel crashed (aborted)",
        "the evidence names the library; `{command} test {name}` shows it again",
    ),
    135: (
        "kernel-crashed",
        "the kernel crashed (bus error)",
        "this may be a full disk or /dev/shm; look at `df -h`",
    ),
    136: (
        "kernel-crashed",
        "the kernel crashed (floating point exception)",
        "`{command} test {name}` shows it again",
    ),
    139: (
        "kernel-crashed",
        "the kernel crashed (segmentation fault)",
        "a compiled package is broken or does not fit: `{command} update {name}`",
    ),
    137: (
        "kernel-killed",
        "the kernel was killed from outside (SIGKILL)",
        "most often too little memory: ask for more when you start the session",
    ),
    152: (
        "cpu-limit",
        "the kernel used up its processor time (ulimit -t)",
        "login nodes limit it: start the notebook in a job",
    ),
    153: (
        "file-limit",
        "the kernel wrote a file larger than allowed (ulimit -f)",
        "ask the site for a higher limit",
    ),
    126: ("script-not-executable", "what starts the kernel cannot be run", REPAIR),
    127: ("interpreter-not-found", "what should start the kernel does not exist", REPAIR),
}

# launch.sh's own word for what it could not do -> sentence, remedy; a container's are said by container.sh
STEPS = {
    "modules-unavailable": (
        "the recipe names modules, but this node has neither Lmod nor Environment Modules",
        "if the site has them elsewhere, its admins set `modules: {{init: FILE}}` in the site's configuration",
    ),
    "launch-ended": (
        "{step} ended the start of the kernel",
        "a file that is sourced there calls `exit`, or fails under `set -e`; " + EDIT,
    ),
    "module-failed": ("`{step}` failed", "try `{step}` in a shell; " + EDIT),
    "runtime-missing": (
        "no container runtime (Apptainer or Singularity) is found on this node",
        "start the session on a node that has one, or name the module that brings it in the recipe ({command} edit {name})",
    ),
    "image-missing": ("{step} is not there", REPAIR),
    "launch-script-missing": ("`{step}`, with which the kernel starts, is gone or damaged", REPAIR),
    "inject-missing": (
        "{step} failed: the folder that brings ipykernel to the image is gone",
        REPAIR,
    ),
    "bind-missing": (
        "{step} failed: what should be bound into the container is not on this node",
        "correct `bind` of the recipe ({command} edit {name})",
    ),
}
