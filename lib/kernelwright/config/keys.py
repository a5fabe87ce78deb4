"""Every key of the site's files, with its default and one line of help, in the order of the docs."""

from __future__ import annotations

from ..model import Bind
from . import model
from .kernel_keys import KERNELS, TEMPLATES
from .part_keys import ALLOCATION, BIND, KINDS, LIMITS, PARTITION, bind_of
from .table import Key, choice, entries, flag, integer, mapping, section, text, texts

TABLE = Key(
    "section",
    keys={
        "site": section(
            "Who you are",
            model.Site,
            name=text("name of the site, shown on the form and in reports", "this site"),
            support=text(
                "where people get help: a mail address or a URL", example="support@example.org"
            ),
            message=text(
                "a message of the day, shown above the form", example="Maintenance on Friday"
            ),
        ),
        "runtime": text(
            "folder of the shared runtime (`make install PREFIX=...`), seen by all nodes",
            rule="folder",
            example="/shared/apps/kernelwright",
        ),
        "clusters": texts(
            "OOD cluster ids that the form offers; empty: those that the admin's sub-app names",
            example="[mycluster]",
        ),
        "command": text(
            "how people here call it in a shell, used in every hint; null where there is no shell",
            "kernelwright",
            nullable=True,
            example='"module load kernelwright; kernelwright"',
        ),
        "jupyter": section(
            "The Jupyter server of a session",
            model.JupyterConfig,
            modules=texts(
                "modules loaded before the server starts",
                item=Key("text", rule="module"),
                example="[jupyterlab/4.4]",
            ),
            command=text(
                "command or path of the site's own jupyter; null: the runtime's", rule="word"
            ),
            interfaces=texts(
                "what the form offers",
                ("lab", "notebook"),
                item=Key("text", choices=("lab", "notebook")),
            ),
        ),
        "storage": section(
            "Where environments and caches go; {user} and {home} are filled in",
            model.Storage,
            root=text(
                "environments of kernels; null: in HOME",
                rule="place",
                example='"/scratch/{user}/kernelwright"',
            ),
            package_cache=text(
                "downloaded packages; null: below root",
                rule="place",
                example='"/scratch/{user}/.cache/kernelwright"',
            ),
            images=text(
                "folder of images that the site offers", rule="place", example="/shared/images"
            ),
            image_cache=text("images that people pull; null: below root", rule="place"),
            central=text(
                "where `site build` makes central kernels; null: RUNTIME/site",
                rule="folder",
                example="/shared/kernels",
            ),
        ),
        "build": section(
            'Where "make it, do not start a notebook" runs',
            model.Build,
            partition=text(
                "partition; null: the one of the form", rule="slurm-word", example="short"
            ),
            time=text("walltime", "00:30:00", rule="time"),
            cores=integer("cores", 4, low=1, high=1024),
        ),
        "network": section(
            "What compute nodes can reach",
            model.Network,
            compute_nodes=flag(
                "whether they reach package servers; false: builds run in build.partition, or use a mirror",
                True,
            ),
            proxy=text(
                "proxy for builds on nodes", rule="url", example="http://proxy.example.org:3128"
            ),
        ),
        "python": section(
            "Interpreters for pip kernels",
            model.Python,
            interpreters=texts(
                "absolute paths, the first is the default; empty: those found on PATH",
                item=Key("text", rule="folder"),
                example="[/usr/bin/python3]",
            ),
            download=flag("whether uv may download an interpreter"),
            index=text(
                "package index; null: the one of pip.conf",
                rule="url",
                example="https://pypi.example.org/simple",
            ),
        ),
        "modules": section(
            "Environment modules",
            model.ModuleConfig,
            init=text(
                "file that defines the module function; null: found",
                rule="folder",
                example="/etc/profile.d/lmod.sh",
            ),
            use=texts(
                "further module folders",
                item=Key("text", rule="folder"),
                example="[/shared/modulefiles]",
            ),
        ),
        "conda": section(
            "Conda kernels",
            model.Conda,
            channels=texts(
                "channels where a recipe names none",
                ("conda-forge",),
                item=Key("text", rule="channel"),
            ),
            channel_alias=text(
                "server of channels that are plain names",
                rule="url",
                example="https://conda.example.org",
            ),
            mirrors=mapping(
                "mirrors by channel, tried in order",
                texts("URLs of mirrors", item=Key("text", rule="url")),
            ),
            channel_priority=choice(
                "strict: the first channel that has a package wins", "strict", "strict", "disabled"
            ),
            allow_channels=texts(
                "what people may use (* and ? match); empty: all",
                example='[conda-forge, "https://mirror.example.org/*"]',
            ),
            deny_channels=texts("what they may not use; denying wins", example="[defaults]"),
            auth_file=text("file with credentials of channels, readable by users", rule="folder"),
            virtual_packages=mapping(
                "by partition, so that a build node without GPU still chooses CUDA builds",
                mapping("virtual packages", Key("text")),
                example='{gpu: {__cuda: "12.4"}}',
            ),
        ),
        "containers": section(
            "Container kernels",
            model.Containers,
            runtimes=mapping(
                "apptainer or singularity: a module or a path; empty: found on PATH",
                section(
                    "",
                    model.ContainerRuntime,
                    module=text("module that brings it", rule="module"),
                    path=text("absolute path", rule="folder"),
                ),
                example="{apptainer: {module: apptainer, path: null}}",
            ),
            binds=Key(
                "list",
                "folders that every container sees",
                (),
                item=Key("text", keys=BIND, make=Bind, short=bind_of),
                example="[{source: /scratch, required: false}]",
            ),
            environment=texts(
                "further variables that go into the container", item=Key("text", rule="variable")
            ),
            allow=texts(
                "images that people may use (* and ? match); empty: all",
                example='["docker://*", "/shared/images/*"]',
            ),
            signed=flag("whether only signed images may be used"),
        ),
        "slurm": section(
            "Kernels in an allocation of their own",
            model.SlurmConfig,
            submit=text(
                "local; or a host to ssh to; or none, which hides Slurm kernels",
                "local",
                rule="word",
            ),
            ports=text(
                "ports that kernels' jobs may dial back to; null: any",
                rule="ports",
                example='"50000-50100"',
            ),
            network=text(
                "network of the address that jobs dial back to; null: found",
                rule="network",
                example="10.1.0.0/16",
            ),
            defaults=Key(
                "section",
                "what a kernel gets that asks for nothing",
                {},
                keys=ALLOCATION,
                example='{partition: defq, time: "01:00:00"}',
            ),
            limits=Key(
                "section",
                "upper limits; idle is for every kernel of a session",
                {},
                keys=LIMITS,
                example='{ntasks: 64, time: "12:00:00", idle: 60}',
            ),
            partitions=texts(
                "partitions for Slurm kernels; empty: all", item=Key("text", rule="slurm-word")
            ),
            lease=integer(
                "seconds that an allocation lives without its broker", 120, low=10, high=86_400
            ),
        ),
        "groups": section(
            "Kernels that people share",
            model.Groups,
            folders=texts(
                "folders of group kernels; {group} is each group of the user",
                item=Key("text", rule="place"),
                example='["/projects/{group}/kernels"]',
            ),
            trusted_owners=texts(
                "users whose shared kernels are not marked as untrusted", ("root",)
            ),
        ),
        "policy": section(
            "What people may make. Guidance, not a security boundary: a user may run any program",
            model.Policy,
            kinds=texts(
                "kinds of kernels that people may make", KINDS, item=Key("text", choices=KINDS)
            ),
            max_size=text("largest environment; null: any", rule="size", example="20G"),
        ),
        "form": section(
            "The form",
            model.Form,
            packages=choice(
                "what a plain list of packages becomes: venv (pip) or conda",
                "venv",
                "venv",
                "conda",
            ),
            hours=integer("hours, default", 4, low=1, high=10_000),
            max_hours=integer("hours, most", 12, low=1, high=10_000),
            cores=integer("cores, default", 1, low=1, high=10_000),
            max_cores=integer("cores, most", 64, low=1, high=10_000),
            memory_gb=integer("memory in GB, default; 0: the partition's", 0),
            max_memory_gb=integer("memory in GB, most", 512, low=1),
            max_gpus=integer("GPUs, most; 0 hides the field", 0, high=1024),
            partitions=entries(
                "partitions that the form offers; empty: a text field",
                PARTITION,
                by="name",
                example="[{name: gpu, label: GPU nodes, gpus: 4, max_hours: 8}]",
            ),
            accounts=texts(
                "accounts that template fields offer; empty: a text field",
                item=Key("text", rule="slurm-word"),
            ),
            slurm_options=flag("whether Advanced takes further sbatch options"),
            file_picker=flag("whether files are picked in a dialog (needs OOD's files app)", True),
        ),
        "usage_log": text(
            "file for one JSON line a session, build and failure; null: none",
            rule="place",
            example="/shared/log/kernelwright.jsonl",
        ),
        "kernels": KERNELS,
        "templates": TEMPLATES,
    },
)
