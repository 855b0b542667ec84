# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private S3 servers on loopback ports: MinIO, SeaweedFS, versitygw and rclone, each with its own manners."""

from __future__ import annotations

import abc
import base64
import contextlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from harness import tools
from harness.certificates import Certificate
from harness.ports import free_port
from harness.process import Child
from harness.waiting import NotYet, wait_for

# A server must not inherit the developer's keys and profiles.
_FOREIGN = ("AWS_", "MINIO_", "RCLONE_", "WEED_", "VGW_")
_ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}


class StoreServer(abc.ABC):
    """An S3 server of its own: started on entering, stopped on leaving.

    ``directory`` keeps the data and is left alone; without one a temporary directory does and is removed.
    """

    name: ClassVar[str]
    program: ClassVar[str]
    region = "us-east-1"

    def __init__(self, directory: Path | None = None) -> None:
        self.access_key = f"test-{secrets.token_hex(6)}"
        self.secret_key = secrets.token_hex(20)
        self._temporary = directory is None
        self.directory = directory or Path(tempfile.mkdtemp(prefix=f"{self.program}-"))
        self.port = free_port()
        self._child: Child | None = None

    @property
    def endpoint_url(self) -> str:
        """The address to give to a client."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def data_directory(self) -> Path:
        """Where the server keeps its data."""
        return self.directory / "data"

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:  # Ctrl-C too: what was begun has to go
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()
        if self._temporary:
            shutil.rmtree(self.directory, ignore_errors=True)

    def start(self, *, seconds: float = 60.0) -> None:
        """Start the server and wait until it stores an object."""
        self.data_directory.mkdir(parents=True, exist_ok=True)
        executable = tools.ensure(self.program)
        self._child = Child([executable, *self._arguments()], self.directory / "server.log", environment=self._environment())
        try:
            wait_for(self._require_service, f"{self.name} on port {self.port}", seconds=seconds)
        except TimeoutError as error:
            raise TimeoutError(f"{error} Its last words:\n{self.last_words()}") from error

    def stop(self) -> None:
        """Stop the server; its data stay for the next start()."""
        if self._child:
            self._child.stop()

    def kill(self) -> None:
        """End the server at once (SIGKILL)."""
        if self._child:
            self._child.kill()

    def restart(self) -> None:
        """Stop and start on the same port with the same data."""
        self.stop()
        self.start()

    @property
    def running(self) -> bool:
        """Whether its process is alive."""
        return self._child is not None and self._child.running

    def last_words(self) -> str:
        """Return the end of the server's log."""
        return self._child.last_words() if self._child else ""

    def client(
        self,
        *,
        service: str = "s3",
        endpoint_url: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
        session_token: str | None = None,
        ca_bundle: Path | None = None,
    ) -> Any:
        """Return a boto3 client; the address can be that of a proxy in front of the server."""
        return boto3.client(
            service,
            endpoint_url=endpoint_url or self.endpoint_url,
            region_name=self.region,
            aws_access_key_id=access_key or self.access_key,
            aws_secret_access_key=secret_key or self.secret_key,
            aws_session_token=session_token,
            verify=str(ca_bundle) if ca_bundle else None,
            config=Config(
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                retries={"total_max_attempts": 1, "mode": "standard"},
                connect_timeout=5,
                read_timeout=60,
            ),
        )

    def make_bucket(self, name: str, **options: Any) -> str:
        """Create a bucket and return its name."""
        self.client().create_bucket(Bucket=name, **options)
        return name

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """Return every key below ``prefix``, asked of the server itself."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def uploads(self, bucket: str) -> list[str]:
        """Return the keys of the unfinished multipart uploads."""
        try:
            answer = self.client().list_multipart_uploads(Bucket=bucket)
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchUpload":  # rclone's way to say: none
                return []
            raise
        return [upload["Key"] for upload in answer.get("Uploads", [])]

    @abc.abstractmethod
    def _arguments(self) -> list[str | Path]:
        """What follows the program's name."""

    def _environment(self) -> Mapping[str, str]:
        return _ENVIRONMENT

    def _require_service(self) -> None:
        assert self._child
        self._child.require_running()
        try:
            self._probe(self.client())
        except (ClientError, BotoCoreError) as error:
            raise NotYet(str(error)) from error

    def _probe(self, client: Any) -> None:
        client.list_buckets()


class MinIO(StoreServer):
    """The store the mission names. With ``kms`` it encrypts on its side when asked to (SSE-S3)."""

    name = "MinIO"
    program = "minio"

    def __init__(self, directory: Path | None = None, *, kms: bool = False) -> None:
        super().__init__(directory)
        self._kms_key = base64.b64encode(secrets.token_bytes(32)).decode() if kms else None

    def temporary_keys(self, policy: dict[str, Any]) -> dict[str, str]:
        """Return keys that may do what the policy says and nothing else, as options of the modules."""
        # Of the role MinIO wants only that its name is long enough.
        granted = self.client(service="sts").assume_role(
            RoleArn="arn:aws:iam::123456789012:role/harness", RoleSessionName="harness", Policy=json.dumps(policy)
        )["Credentials"]
        return {"access_key": granted["AccessKeyId"], "secret_key": granted["SecretAccessKey"], "session_token": granted["SessionToken"]}

    def _arguments(self) -> list[str | Path]:
        certificates = self.directory / "certificates"  # or it would look for some in the home directory, and make one
        return ["server", "--quiet", "--address", f"127.0.0.1:{self.port}", "--certs-dir", certificates, self.data_directory]

    def _environment(self) -> Mapping[str, str]:
        encryption = {"MINIO_KMS_SECRET_KEY": f"harness:{self._kms_key}"} if self._kms_key else {}
        return {
            **_ENVIRONMENT,
            **encryption,
            "MINIO_ROOT_USER": self.access_key,
            "MINIO_ROOT_PASSWORD": self.secret_key,
            "MINIO_BROWSER": "off",
            "MINIO_UPDATE": "off",
            "MINIO_REGION": self.region,
        }


class SeaweedFS(StoreServer):
    """A store that needs no compiler: one prebuilt program, five servers in it. With a certificate it listens twice, with TLS and without."""

    name = "SeaweedFS"
    program = "weed"

    def __init__(self, directory: Path | None = None, *, certificate: Certificate | None = None) -> None:
        super().__init__(directory)
        self._certificate = certificate
        self._tls_port = free_port()
        # Each of its servers listens for gRPC too, 10000 higher.
        self._ports = {part: free_port(companion=10000) for part in ("master", "volume", "filer")}
        self.port = free_port(companion=10000)

    @property
    def tls_url(self) -> str:
        """The address of the same server with TLS."""
        return f"https://127.0.0.1:{self._tls_port}"

    def _arguments(self) -> list[str | Path]:
        identity = {
            "name": "harness",
            "credentials": [{"accessKey": self.access_key, "secretKey": self.secret_key}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        configuration = self.directory / "s3.json"
        configuration.touch(mode=0o600)
        configuration.write_text(json.dumps({"identities": [identity]}))
        return [
            "server",
            f"-dir={self.data_directory}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            *(f"-{part}.port={port}" for part, port in self._ports.items()),
            "-master.peers=none",
            "-master.telemetry=false",
            "-filer",
            "-s3",
            f"-s3.port={self.port}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            f"-s3.config={configuration}",
            *self._tls_arguments(),
            # By default a volume may take 30 GB, and as many are allowed as would fit on the disk: a few buckets use them up.
            "-master.volumeSizeLimitMB=1024",
            "-volume.max=10000",
        ]

    def _tls_arguments(self) -> list[str]:
        if not self._certificate:
            return []
        return [f"-s3.port.https={self._tls_port}", f"-s3.cert.file={self._certificate.path}", f"-s3.key.file={self._certificate.key}"]

    def stop(self) -> None:
        """Kill it: asked politely, its servers wait 25 s for each other. What it has answered for is in its files."""
        self.kill()
        for port in (self.port, *self._ports.values()):
            for socket in (*Path("/tmp").glob(f"seaweedfs-*-{port}.sock"), *Path("/tmp").glob(f"seaweedfs-*-{port + 10000}.sock")):
                socket.unlink(missing_ok=True)

    def _probe(self, client: Any) -> None:
        # Its S3 port answers before any volume can take an object.
        with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou):
            client.create_bucket(Bucket="harness-probe")
        client.put_object(Bucket="harness-probe", Key="probe", Body=b"probe")
        client.delete_object(Bucket="harness-probe", Key="probe")
        client.delete_bucket(Bucket="harness-probe")


class VersityGW(StoreServer):
    """A gateway over a directory. It accepts a wish for encryption and does nothing about it."""

    name = "versitygw"
    program = "versitygw"

    def _arguments(self) -> list[str | Path]:
        versions = self.directory / "versions"
        versions.mkdir(exist_ok=True)
        return ["--port", f"127.0.0.1:{self.port}", "--region", self.region, "posix", "--versioning-dir", versions, self.data_directory]

    def _environment(self) -> Mapping[str, str]:
        return {**_ENVIRONMENT, "ROOT_ACCESS_KEY_ID": self.access_key, "ROOT_SECRET_ACCESS_KEY": self.secret_key}


class RcloneS3(StoreServer):
    """The careless store: it overwrites in spite of If-None-Match and calls plain objects encrypted."""

    name = "rclone"
    program = "rclone"

    def _arguments(self) -> list[str | Path]:
        return ["serve", "s3", "--addr", f"127.0.0.1:{self.port}", self.data_directory]

    def _environment(self) -> Mapping[str, str]:
        # By environment, because a command line is everybody's to read; quoted, because it is read as CSV.
        return {**_ENVIRONMENT, "RCLONE_AUTH_KEY": f'"{self.access_key},{self.secret_key}"', "RCLONE_CONFIG": "/dev/null"}
