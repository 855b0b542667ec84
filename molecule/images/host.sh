# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Runs in a minimal Debian: a fresh host as one rents it, with systemd as PID 1, cron, and what Ansible needs: SSH and Python.
# Nothing of ours.

export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -qy --no-install-recommends systemd systemd-sysv dbus openssh-server cron logrotate procps iproute2 ca-certificates python3 python3-apt
# As in the images of registries: a container that loses power is made anew, so no file need be on the disk before the next is written.
echo force-unsafe-io > /etc/dpkg/dpkg.cfg.d/unsafe-io
# The lists stay, so that installing something later needs no update first.
rm -f /var/cache/apt/archives/*.deb
# What a container has no use for, or no right to.
for unit in systemd-udevd.service systemd-udev-trigger.service systemd-udevd-control.socket systemd-udevd-kernel.socket \
    sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount dev-hugepages.mount systemd-modules-load.service \
    ssh.service ssh.socket getty.target console-getty.service apt-daily.timer apt-daily-upgrade.timer; do
    systemctl mask "$unit"
done
# Every container gets one of its own at its first start.
: > /etc/machine-id
