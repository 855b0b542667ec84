#!/usr/bin/python
# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_backup_notify
short_description: Tell people and monitors what became of a backup, by mail, webhook, Slack or ping
version_added: 0.1.0
author:
  - WorkOn (@workon)
description:
  - Sends one message on every channel that is set and that is for the event. One that fails keeps no other from being tried.
  - What cannot be sent is a warning and no failure, so that a monitor that is down never fails a backup. With O(require=true) it fails the task,
    after every channel has been tried. An option that is wrong is treated in the same way, as far as it concerns one channel alone.
  - Whom to call, and after how long, is part of the message where somebody has to be called, and is returned for the job's own output.
  - URLs, passwords and headers are secrets. They are masked in the message itself, too, and so are passwords of URLs in it.
extends_documentation_fragment:
  - workon.postgresql_backup._attributes
  - workon.postgresql_backup._attributes.action_group
attributes:
  check_mode:
    support: full
    details:
      - Says what would be sent to whom, and sends nothing.
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - Every run sends the message again.
options:
  event:
    description:
      - What happened. V(recovery) is for what was V(failure) or V(warning) before.
    type: str
    choices: [failure, warning, recovery, start, success]
    required: true
  summary:
    description:
      - What happened, in one sentence. It is the subject of the mail.
    type: str
    required: true
  text:
    description:
      - More about it, as plain text of any number of lines, for example RV(workon.postgresql_backup.pg_backup_health#module:text).
    type: str
    default: ""
  details:
    description:
      - Facts by their names, for example the host.
    type: dict
    default: {}
  contacts:
    description:
      - Whom to call, in the order of escalation.
    type: list
    elements: dict
    default: []
    suboptions:
      level:
        description: The step, for example V(L1).
        type: str
        required: true
      name:
        description: Who it is, a person or a team.
        type: str
        required: true
      role:
        description: What they are.
        type: str
        default: ""
      reach:
        description: How to reach them, for example a telephone number.
        type: str
        required: true
      after:
        description: After how long without an answer it is their turn, for example V(15 min). Without it they are called at once.
        type: str
        default: ""
  mail:
    description:
      - A mail, through this server.
    type: dict
    suboptions:
      host:
        description: The mail server.
        type: str
        required: true
      port:
        description: Its port. The default is that of O(mail.tls) - 25, 587 or 465.
        type: int
      tls:
        description: How the connection is encrypted. The server's certificate must be valid.
        type: str
        choices: [none, starttls, tls]
        default: starttls
      username:
        description: Who logs in, where the server asks for it.
        type: str
      password:
        description: The password of O(mail.username). It is sent over an encrypted connection alone, or to this host.
        type: str
      from:
        description: The sender's address.
        type: str
        required: true
      to:
        description: The addresses to send to.
        type: list
        elements: str
        required: true
      subject_prefix:
        description: What the subject begins with.
        type: str
        default: "[backup]"
      events:
        description: The events that this channel is for.
        type: list
        elements: str
        choices: [failure, warning, recovery, start, success]
        default: [failure, warning, recovery]
  webhook:
    description:
      - A request to any URL. Redirects are not followed.
    type: dict
    suboptions:
      url:
        description: Where to. It is a secret.
        type: str
        required: true
      method:
        description: The method of the request.
        type: str
        choices: [POST, PUT]
        default: POST
      headers:
        description: Headers by their names, for example C(Authorization). They are secrets.
        type: dict
        default: {}
      body:
        description:
          - What to send, a text or, sent as JSON, a dictionary or a list. In its texts V($event), V($summary), V($text), V($details), V($contacts) and
            V($message) (all of it) are replaced; V($$) is a dollar sign.
          - Without it an object is sent that has C(source) (V(workon.postgresql_backup)), C(event), C(summary), C(text), C(details) (an object),
            C(contacts) (a list of objects) and C(message) (all of it as plain text).
        type: raw
      events:
        description: The events that this channel is for.
        type: list
        elements: str
        choices: [failure, warning, recovery, start, success]
        default: [failure, warning, recovery]
  slack:
    description:
      - An incoming webhook of Slack, or of what takes the same JSON, such as Mattermost and Rocket.Chat.
    type: dict
    suboptions:
      url:
        description: The URL of the incoming webhook. It is a secret.
        type: str
        required: true
      events:
        description: The events that this channel is for.
        type: list
        elements: str
        choices: [failure, warning, recovery, start, success]
        default: [failure, warning, recovery]
  ping:
    description:
      - A ping to healthchecks.io, or to what takes the same requests. It alarms also when no ping comes.
      - The first 100 kB of the message are its body.
    type: dict
    suboptions:
      url:
        description: The URL of the check, without what is signalled. It is a secret.
        type: str
        required: true
      signal:
        description:
          - What is signalled - V(start), V(success), V(fail), V(log), or an exit status from V(0) to V(255).
          - By default it is V(fail) for a failure, V(start) for a start, and else V(success), for a warning, too, because the job has run.
        type: str
      events:
        description: The events that this channel is for.
        type: list
        elements: str
        choices: [failure, warning, recovery, start, success]
        default: [failure, warning, recovery, start, success]
  timeout:
    description:
      - How many seconds an attempt on one channel may wait for an answer.
    type: int
    default: 10
  retries:
    description:
      - How many attempts may follow a failed one, after a second, then two, four and so on. What another attempt cannot change is not tried again.
    type: int
    default: 2
  require:
    description:
      - Whether the task fails if any channel did not take the message.
    type: bool
    default: false
notes:
  - A message may arrive twice, when the answer to the first attempt was lost.
  - Certificate authorities are those of the host, or of the file that the environment variable E(SSL_CERT_FILE) names.
seealso:
  - module: workon.postgresql_backup.pg_backup
"""

EXAMPLES = r"""
- name: Say that a backup failed, and whom to call
  workon.postgresql_backup.postgresql_backup_notify:
    event: failure
    summary: "{{ ansible_failed_result.msg }}"
    details:
      host: "{{ inventory_hostname }}"
    contacts:
      - {level: L1, name: On-call engineer, role: operations, reach: "+49 30 1234567"}
      - {level: L2, name: Database team, reach: "dba@example.com", after: 15 min}
      - {level: L3, name: Head of engineering, reach: "+49 30 7654321", after: 1 h}
    mail:
      host: mail.example.com
      username: backup
      password: "{{ vault_mail_password }}"
      from: backup@example.com
      to: [operations@example.com]
    slack:
      url: "{{ vault_slack_url }}"
    ping:
      url: "{{ vault_ping_url }}"

- name: Tell a monitor that the job begins
  workon.postgresql_backup.postgresql_backup_notify:
    event: start
    summary: The backup of staging begins.
    ping:
      url: "{{ vault_ping_url }}"

- name: Open an incident by a webhook with a body of its own
  workon.postgresql_backup.postgresql_backup_notify:
    event: failure
    summary: The store cannot be reached.
    webhook:
      url: "{{ vault_incident_url }}"
      headers:
        Authorization: "Bearer {{ vault_incident_token }}"
      body:
        title: $summary
        description: $message
        priority: 1
    require: true
"""

RETURN = r"""
msg:
  description: What was sent, and what was not, and why.
  returned: always
  type: str
channels:
  description: What became of the message on each channel that is set.
  returned: success, or when O(require=true) failed
  type: list
  elements: dict
  contains:
    channel:
      description: V(mail), V(webhook), V(slack) or V(ping).
      type: str
      returned: always
    verdict:
      description: V(sent), V(failed), V(planned) in check mode, or V(skipped) where the channel is not for the event.
      type: str
      returned: always
    target:
      description: To whom - addresses and the mail server, or the host of a URL.
      type: str
      returned: always
    attempts:
      description: How many attempts there were.
      type: int
      returned: always
    problem:
      description: Why it was not sent, in a sentence.
      type: str
      returned: always
failed_channels:
  description: The channels on which it was not sent. Each is also a warning.
  returned: success, or when O(require=true) failed
  type: list
  elements: str
text:
  description: The whole message as plain text, without secrets.
  returned: success, or when O(require=true) failed
  type: str
contacts_text:
  description: Whom to call, and when, as lines. Empty without O(contacts).
  returned: success, or when O(require=true) failed
  type: str
"""

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.notification import notification_result
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.notification import NOTIFY_SPEC, channels_from, message_from, register
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.runner import Secrets, run_module
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.notification import Patience, notify, require_all


def main() -> None:
    module = AnsibleModule(argument_spec=NOTIFY_SPEC, supports_check_mode=True)

    def work(secrets: Secrets) -> dict[str, t.Any]:
        params = module.params
        register(params, secrets)
        message = message_from(params, secrets)
        patience = Patience(params["timeout"], params["retries"], time.sleep)
        deliveries = notify(message, channels_from(params), patience, check_mode=module.check_mode)
        if params["require"]:
            require_all(message, deliveries)
        result = notification_result(message, deliveries)
        problems = [f"Not sent by {each.channel}: {each.problem}" for each in deliveries if each.verdict == "failed"]
        return {**result, "warnings": [secrets.redact(problem) for problem in problems]}

    run_module(module, work)


if __name__ == "__main__":
    main()
