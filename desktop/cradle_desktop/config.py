"""Where the desktop keeps its state, and the defaults of what a user did not say. Reads the environment, nothing else.

CRADLE_HOME/cradle.db     identity, partnerships with their keys, metadata, list of conflicts (mode 0600)
CRADLE_HOME/conflicts/    contents that lost a conflict, by hash
CRADLE_HOME/ancestors/    texts as both sides last had them, by hash, for the policy `merge`
CRADLE_HOME/settings.toml what the user set (`settings`)
CRADLE_HOME/locks/        one file per replica, locked while it is being synced
CRADLE_HOME/witnesses/    one file per replica, by which a state of before is told from the state of now
"""

import os

from cradle_desktop.metadata.database import FILE_NAME, Database

HOME_VARIABLE = "CRADLE_HOME"
_APPLICATION = "cradlesync"


def home() -> str:
    """The folder of all state: CRADLE_HOME, else what the platform has for data of one user. It may not exist yet."""
    moved = os.environ.get(HOME_VARIABLE)
    if moved:
        return os.path.abspath(os.path.expanduser(moved))
    import platformdirs  # only where it is needed: with CRADLE_HOME no command pays for it

    return platformdirs.user_data_dir(_APPLICATION, appauthor=False)


def database_path() -> str:
    """The one database of this home."""
    return os.path.join(home(), FILE_NAME)


def conflicts_folder() -> str:
    """Where contents that lost a conflict are kept."""
    return os.path.join(home(), "conflicts")


def ancestors_folder() -> str:
    """Where texts that both sides had are kept."""
    return os.path.join(home(), "ancestors")


def locks_folder() -> str:
    """Where lock files are."""
    return os.path.join(home(), "locks")


def open_state() -> Database:
    """The database of this home, made if there is none. Raises StateError."""
    return Database(database_path())


def default_store(partner: str) -> str:
    """The folder for a partner's files if the user named none: of the partner's name, under the user's home."""
    return os.path.join(os.path.expanduser("~"), partner)


def store_location(text: str) -> str:
    """A store location as it is recorded: an address (`s3://…`) as it is, a folder as an absolute path."""
    if "://" in text:
        return text
    return os.path.abspath(os.path.expanduser(text))


def nested(one: str, other: str) -> bool:
    """Is one of two folders the other, or in it?"""
    paths = sorted(os.path.join(os.path.realpath(path), "") for path in (one, other))
    return paths[1].startswith(paths[0])
