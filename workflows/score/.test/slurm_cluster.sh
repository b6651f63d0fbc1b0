#!/usr/bin/env bash
# A SLURM cluster of one node, this machine, without accounting. For tests: needs root and Debian's slurm-wlm.
#
#   slurm_cluster.sh start FOLDER    for what the daemons write
#   slurm_cluster.sh stop FOLDER
set -euo pipefail
folder=$2
# Not $SLURM_CONF: the plugin of Snakemake takes SLURM_* out of the environment of its jobs.
conf=/etc/slurm/slurm.conf

start() {
    if [[ -e $conf ]]; then
        echo "$conf exists: this machine is in a cluster" >&2
        exit 1
    fi
    mkdir -p "$folder"/{state,spool} "$(dirname $conf)"
    # auth/none in place of munge: all daemons are root's, on one machine, and listen to no other.
    cat > "$folder/slurm.conf" <<END
ClusterName=one
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmUser=root
AuthType=auth/none
CredType=cred/none
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
NodeName=$(hostname -s) NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$(free -m | awk '/^Mem:/ { print $2 - 500 }')
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
    ln -sf "$folder/slurm.conf" $conf
    slurmctld
    slurmd
    for _ in $(seq 100); do
        if [[ $(sinfo --noheader --format %T 2> /dev/null) == idle ]]; then
            return
        fi
        sleep 0.2
    done
    cat "$folder"/*.log >&2
    exit 1
}

stop() {
    if [[ $(readlink $conf) == "$folder/slurm.conf" ]]; then
        rm $conf
    fi
    for daemon in slurmd slurmctld; do
        if [[ -s $folder/$daemon.pid ]]; then
            pid=$(< "$folder/$daemon.pid")
            kill "$pid"
            timeout 20 tail --pid "$pid" -f /dev/null  # it writes its state at the end
        fi
    done
}

"$1"
