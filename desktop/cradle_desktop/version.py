"""The version of this distribution, as `cradle --version` prints it. Not the version of the wire."""

VERSION = "0.1.0"
