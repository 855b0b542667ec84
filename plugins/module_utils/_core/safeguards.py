# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""What must be true before a restore begins, and the sentence for each thing that is not, with the option that would change it."""

from __future__ import annotations

import dataclasses
import fnmatch
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_comment import DatabaseComment, is_production
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.identifiers import quote_if_needed
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import Manifest
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.preflight import some
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_names import LONGEST_NAME
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_target import Target, left_behind
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.sizing import human_size

ACCEPTED_DATA_LOSS = "i_accept_data_loss"
# A restored database has no bloat, so what the source took on its disk is enough; the rest is for sorting and write-ahead log.
_DISK_HEADROOM = 1.1


@dataclasses.dataclass(frozen=True)
class Permissions:
    """What the user said may happen, in the words of the module's options."""

    environment: str
    allow_production: bool = False
    confirm: str | None = None
    protected_hosts: tuple[str, ...] = ()
    same_database: bool = False
    allow_cross_environment: bool = False
    allow_older_server: bool = False
    acknowledge_replication: bool = False
    allow_partial: bool = False
    skip_safety_backup: str | None = None


def environment_refusals(permissions: Permissions, target: Target) -> list[str]:
    """Refuse a database that is not the environment the play speaks of, and production without permission."""
    return tag_refusals(permissions, target, target.database, target.comment if target.exists else None, "replaced")


def tag_refusals(permissions: Permissions, target: Target, name: str, comment: DatabaseComment | None, meant: str) -> list[str]:
    """Hold a database's comment (None: there is no such database) against what the play says; ``meant`` is what would be done to it.

    Of one that a restore has kept its own tag counts: the live database may have another by now, or be gone.
    """
    wanted = permissions.environment
    refusals = []
    if comment and comment.problem:
        refusals.append(f"The database {name} counts as production, because {comment.problem}. Tag it anew with pg_environment, or correct its comment.")
    elif comment and comment.environment is None and not is_production(wanted):
        refusals.append(
            f"environment is {wanted}, but the database {name} carries no environment tag and therefore counts as production. "
            f"If it is {wanted}, say so in the database first: pg_environment with environment {wanted}."
        )
    elif comment and comment.environment is not None and comment.environment != wanted:
        refusals.append(
            f"environment is {wanted}, but the database {name} at {target.server.address}:{target.server.port} is tagged {comment.environment}. "
            f"Check the target; if it is right, set environment to {comment.environment}."
        )
    if (is_production(wanted) or (comment and comment.counts_as_production)) and not permissions.allow_production:
        refusals.append(f"The database {name} is production. Set allow_production to true if it is meant to be {meant}.")
    return refusals


def confirmation_refusal(permissions: Permissions, target: Target, phrase: str, *, planning: bool) -> str | None:
    """Refuse production without the phrase of this very plan. While planning, the phrase need not be known yet, but a wrong one is refused."""
    if not is_production(permissions.environment) or permissions.confirm == phrase or (planning and not permissions.confirm):
        return None
    if permissions.confirm:
        return (
            f"confirm is {permissions.confirm!r}, which is not the phrase for this backup and the database {target.database} as it is now. "
            "Run in check mode, read the plan, and set confirm to the phrase that it prints."
        )
    return (
        f"The database {target.database} is production, and confirm is not set. Run in check mode, read the plan, and set confirm to the phrase that it prints."
    )


def restore_phrase(backup_id: str, database: str, fingerprint: str) -> str:
    """Return what must be repeated to restore into production: bound to the backup and to the database as it is, so that it opens no other door, and this
    one once."""
    return f"restore {backup_id} into {database}@{fingerprint}"


def final_refusal(target: Target, kept: t.Sequence[str], previous: t.Sequence[str]) -> str | None:
    """Refuse to drop what restores have kept of a database that is gone: it may be all that is left of it. ``previous`` of it can be brought back."""
    if target.exists:
        return None
    left = f"what restores have kept of it ({', '.join(kept)}) may be all that is left, and is not dropped" if kept else "nothing can be finalized"
    way = (
        f"Bring it back first: state rolled_back gives {previous[0]} the name {target.database} again."
        if previous
        else "Check the target; if it is right, restore the database first."
    )
    return f"The database {target.database} does not exist, so {left}. {way}"


def rollback_phrase(restore_id: str, target: Target) -> str:
    """Return what must be repeated to swap production back."""
    return f"roll back {restore_id} of {target.database}@{target.fingerprint}"


def protected_host_refusal(permissions: Permissions, target: Target) -> str | None:
    """Refuse hosts that the user protects: denial wins over everything that permits."""
    port, database = target.server.port, target.database
    for host in dict.fromkeys((*target.hosts, target.server.address)):
        for name in (host, f"{host}:{port}", f"{host}/{database}", f"{host}:{port}/{database}"):
            for pattern in permissions.protected_hosts:
                if fnmatch.fnmatchcase(name.lower(), pattern.lower()):
                    return f"The host {host} is protected: protected_hosts has the pattern {pattern}. Restore into another server, or take the pattern away."
    return None


def condition_refusals(target: Target) -> list[str]:
    """Refuse targets that cannot be restored into at all."""
    refusals = []
    if len(target.database.encode()) > LONGEST_NAME:
        refusals.append(
            f"The database name {target.database} is longer than {LONGEST_NAME} bytes, and PostgreSQL would cut it without a word. "
            "Set database to a shorter one."
        )
    if target.server.in_recovery:
        refusals.append(
            f"The server at {target.server.address}:{target.server.port} is a standby, which takes no writes. Set database_url or login_host to the primary."
        )
    if target.exists and target.template:
        refusals.append(f"The database {target.database} is a template for new databases. Set database to another one.")
    if target.exists and not target.allows_connections:
        refusals.append(
            f"The database {target.database} allows no connections, so its content cannot be saved first. "
            f"Open it (ALTER DATABASE {quote_if_needed(target.database)} ALLOW_CONNECTIONS true), or set database to another one."
        )
    return refusals


def replication_refusal(permissions: Permissions, target: Target) -> str | None:
    """Refuse to swap away what replication hangs on: slots and subscriptions stay with the old database."""
    things = left_behind(target)
    if things is None or permissions.acknowledge_replication:
        return None
    return (
        f"The database {target.database} has {things}, which stay with the replaced database after a swap, so that replication would go on with the old data. "
        "Set acknowledge_replication to true if that is taken care of, or set strategy to in_place."
    )


def prepared_refusal(target: Target) -> str | None:
    """Refuse databases with prepared transactions, which cannot be renamed."""
    if not target.prepared_transactions:
        return None
    return (
        f"The database {target.database} has {some('prepared transaction', target.prepared_transactions)}, and no database with such can be renamed. "
        "Commit or roll them back (COMMIT PREPARED, ROLLBACK PREPARED) first."
    )


def is_same_database(manifest: Manifest, target: Target) -> bool:
    """Say whether the backup may be of the target itself: by the server's identity or by its address, whichever fits.

    Physical copies share an identity and one server may have several addresses, so each alone is enough to have to be said.
    """
    source = manifest.source
    if source.get("database") != target.database:
        return False
    identity = source.get("system_identifier")
    if identity and identity == target.server.system_identifier:
        return True
    return source.get("host") in (*target.hosts, target.server.address) and source.get("port") == target.server.port


def source_refusals(permissions: Permissions, target: Target, manifest: Manifest | None) -> list[str]:
    """Refuse a backup whose origin and the target are not what the user said they are."""
    if manifest is None:
        if is_production(permissions.environment) and not permissions.allow_cross_environment:
            unknown = "The archive has no manifest, so nobody knows which environment it is of, and the target is production."
            return [f"{unknown} Set allow_cross_environment to true if its data belong there."]
        return []
    refusals = []
    same = is_same_database(manifest, target)
    origin = f"{manifest.source.get('database')} at {manifest.source.get('host')}:{manifest.source.get('port')}"
    if same and target.exists and not permissions.same_database:
        refusals.append(
            f"The backup {manifest.key} is of the target itself (database {origin}). If going back in time is what is meant, set same_database to true; "
            "if a copy is meant, set database_url or database to another one."
        )
    if not same and permissions.same_database:
        refusals.append(
            f"same_database is true, but the backup {manifest.key} is of another database ({origin}) "
            f"than the target {target.database} at {target.server.address}:{target.server.port}. Check the target, or leave same_database out."
        )
    if is_production(permissions.environment) and manifest.environment != permissions.environment and not permissions.allow_cross_environment:
        refusals.append(
            f"The backup {manifest.key} is of the environment {manifest.environment or '(none recorded)'}, and the target is {permissions.environment}. "
            "Set allow_cross_environment to true if its data belong into production."
        )
    if manifest.source.get("server_version_num", 0) // 10000 > target.server.major and not permissions.allow_older_server:
        refusals.append(
            f"The backup {manifest.key} is of PostgreSQL {manifest.source.get('server_version')}, and the target runs the older {target.server.version}, "
            "which may not know everything in it. Restore into a server of the same version or newer, or set allow_older_server to true to try."
        )
    return refusals


def jobs_refusal(target: Target, jobs: int | None, free_connections: int) -> str | None:
    """Refuse more connections at a time than there are: the applications would be left without."""
    if jobs is None or jobs <= free_connections:
        return None
    return (
        f"jobs is {jobs}, and the server at {target.server.address}:{target.server.port} has {free_connections} free connections for the role "
        f"{target.server.user}. Set jobs to less, leave it out, or raise max_connections (or the role's CONNECTION LIMIT)."
    )


def disk_refusal(target: Target, needed: int | None, *, adds_a_copy: bool) -> str | None:
    """Refuse when the server's disk has no room for the second copy; where the server does not tell, ``disk_warning`` speaks."""
    if target.free_disk is None or needed is None or not adds_a_copy:
        return None
    wanted = int(needed * _DISK_HEADROOM)
    if target.free_disk >= wanted:
        return None
    return (
        f"The restored copy needs about {human_size(wanted)} beside the live database, and the server's disk has {human_size(target.free_disk)} free. "
        "Free space or enlarge the disk; if the figure is wrong, set available_disk to the bytes that there are."
    )


def disk_warning(target: Target, needed: int | None, *, adds_a_copy: bool) -> str | None:
    """Say that nobody looked whether there is room for the second copy, and how much it takes: a full disk stops the live database, too."""
    if target.free_disk is not None or not adds_a_copy:
        return None
    wanted = int((needed or 0) * _DISK_HEADROOM)
    return (
        f"The server does not tell how much room its disk has. The restored copy needs {f'about {human_size(wanted)} ({wanted} bytes)' if wanted else 'room'} "
        "beside the live database, and a full disk stops that, too. Look it up, and set available_disk to the bytes that there are: then it is compared."
    )


def safety_refusal(permissions: Permissions, target: Target) -> str | None:
    """Refuse to leave the safety backup out for a word that is not the whole sentence."""
    given = permissions.skip_safety_backup
    if not given or given == ACCEPTED_DATA_LOSS:
        return None
    return f"skip_safety_backup is {given!r}. Leave it out, or set it to {ACCEPTED_DATA_LOSS} to restore into {target.database} without a safety backup."


def needs_safety_backup(permissions: Permissions, target: Target) -> tuple[bool, str]:
    """Say whether the live database is backed up first, and why."""
    if not target.exists:
        return False, "the database does not exist yet, so there is nothing to lose"
    if target.empty:
        return False, "the database holds nothing, so there is nothing to lose"
    if permissions.skip_safety_backup == ACCEPTED_DATA_LOSS:
        return False, f"skip_safety_backup is {ACCEPTED_DATA_LOSS}"
    return True, "the live database is saved first"


def content_refusal(manifest: Manifest | None, encoding: str | None, wanted: str, recipe: int, server_major: int) -> str | None:
    """Refuse a proof that could not be made, before hours are spent on the load.

    ``encoding`` is that of the database to be created, ``recipe`` the one in which this software hashes.
    """
    if manifest is None or wanted != "content" or manifest.fingerprint.get("method") not in ("record", "text"):
        return None
    if manifest.fingerprint.get("recipe") != recipe:
        return (
            f"The content hashes of {manifest.key} were made by another recipe ({manifest.fingerprint.get('recipe')}) than this software's ({recipe}), "
            "so the content cannot be proved. Use the version of the collection that made the backup, or set fingerprint to counts."
        )
    if manifest.fingerprint["method"] == "record" and server_major < 14:
        return (
            f"The content hashes of {manifest.key} need PostgreSQL 14 or newer, and the target runs {server_major}. "
            "Restore into a newer server, or set fingerprint to counts."
        )
    source = manifest.database.get("encoding")
    if encoding and source and encoding != source:
        return (
            f"The target's encoding is {encoding} and the backup's is {source}, so the content hashes cannot be compared. "
            "Restore into a database of the backup's encoding, or set fingerprint to counts."
        )
    return None


def missing_refusals(*, extensions: t.Sequence[str], tablespaces: t.Sequence[str], roles: t.Sequence[str]) -> list[str]:
    """Refuse what the archive asks for and the server does not have."""
    refusals = []
    if extensions:
        refusals.append(
            f"The archive needs {some('extension', extensions)}, which the server does not have. "
            "Install the package on the server, or set exclude_extensions to restore without (what depends on it will fail)."
        )
    if tablespaces:
        refusals.append(
            f"The archive names {some('tablespace', tablespaces)}, which the server does not have or this role may not use. "
            "Create them, or set no_tablespaces to true to put everything into the database's own."
        )
    if roles:
        refusals.append(
            f"Policies or user mappings of the archive name {some('role', roles)}, which the server does not have. No option puts another in its place there. "
            "Create it; it need not be able to log in."
        )
    return refusals


def human_duration(seconds: float) -> str:
    """Write a duration for people: the two largest units that matter."""
    whole = max(int(seconds), 0)
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"
