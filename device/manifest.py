# MicroPython manifest: freezes or copies the agent. `include("device")` in a board's own manifest, beside protocol's.
#
# Optional groups, each a keyword: include("device", serial=False) leaves out the line service (and with it most of the
# link machine's use), tcp=False the sockets, files=False the files provider, readings=False the stream of rows.
options.defaults(serial=True, tcp=True, files=True, readings=True)  # noqa: F821

CORE = (
    "__init__.py", "agent.py", "ages.py", "apply.py", "content_handlers.py", "conversation.py", "damage.py",
    "filters.py", "index.py", "install.py", "log.py", "metadata.py", "pairing.py", "partnership.py", "record.py",
    "renames.py",
    "replica.py", "runner.py", "stages.py", "sync_handlers.py", "system.py", "together.py", "links/__init__.py",
    "providers/__init__.py",
)  # fmt: skip
SERIAL = ("line.py", "links/stream.py")
TCP = ("pipe.py", "links/tcp.py")
FILES = ("providers/disk.py", "providers/disk_error.py", "providers/files.py", "providers/folder.py")
READINGS = ("cursors.py", "readings.py", "segments.py", "stream_handlers.py")

include("../protocol")  # noqa: F821
package(  # noqa: F821
    "cradle_device",
    files=CORE
    + (SERIAL if options.serial else ())  # noqa: F821
    + (TCP if options.tcp else ())  # noqa: F821
    + (FILES if options.files else ())  # noqa: F821
    + (READINGS if options.readings else ()),  # noqa: F821
)
