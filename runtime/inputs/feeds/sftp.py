"""SFTP folders: fsspec's file system, for servers whose key is known, and with several downloads at a time."""

from __future__ import annotations

import logging
import os
from typing import Any

import paramiko
from fsspec.callbacks import DEFAULT_CALLBACK, Callback
from fsspec.implementations.sftp import SFTPFileSystem

from runtime.errors import FeedUnreachable, LoginRefused

PASSWORD = "FSSPEC_SFTP_PASSWORD"  # noqa: S105 - the name of the variable
"""Environment variable with the password; fsspec's own name for it."""

logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # it would log what is raised anyway


class KnownHostSftp(SFTPFileSystem):  # type: ignore[misc]
    """Folders of an SFTP server that is in ``~/.ssh/known_hosts``: another one is not given the password.

    The password is in the environment, or there is a key in ``~/.ssh`` or in an agent.
    """

    def _connect(self) -> None:
        self.client = paramiko.SSHClient()
        self.client.load_system_host_keys()
        self.client.set_missing_host_key_policy(paramiko.RejectPolicy())
        password = {"password": os.environ[PASSWORD]} if PASSWORD in os.environ else {}
        try:
            self.client.connect(self.host, **password | self.ssh_kwargs)
        except paramiko.SSHException as error:
            raise self._explained(error) from error
        self.ftp = self.client.open_sftp()

    def _explained(self, error: Exception) -> Exception:
        """Return the error that says what to do."""
        port = self.ssh_kwargs.get("port", 22)
        server = f"sftp://{self.host}:{port}"
        if isinstance(error, paramiko.BadHostKeyException):
            return FeedUnreachable(
                f"{server} has another key than in ~/.ssh/known_hosts, it may be another server; ask its operator "
                "before you replace the key there"
            )
        if isinstance(error, paramiko.AuthenticationException) or "authentication" in str(error):
            return LoginRefused(
                f"{server} does not accept the log-in ({error}); put the user name into the feed's path "
                f"(sftp://NAME@{self.host}), and set {PASSWORD}"
            )
        if "known_hosts" in str(error):
            return FeedUnreachable(
                f"{server} is not in ~/.ssh/known_hosts, so it is not given the password; compare its key with the one "
                f"its operator publishes, and add it: ssh-keyscan -p {port} {self.host} >> ~/.ssh/known_hosts"
            )
        return error

    def get_file(self, rpath: str, lpath: str, callback: Callback = DEFAULT_CALLBACK, **_: Any) -> None:
        """Download a file over a channel of its own: several threads may do so.

        Parameters
        ----------
        rpath : str
            The file on the server.
        lpath : str
            The file to write.
        callback : Callback
            Is told how many bytes have come.
        """
        with self.client.open_sftp() as channel:
            channel.get(self._strip_protocol(rpath), lpath, callback=lambda done, _: callback.absolute_update(done))
