#!/usr/bin/env bash
# A real Slurm of one node for the tests, without systemd, cgroups, a database or a file outside one folder.
#
#   slurm.sh install        the packages, with apt, as root; exit 3 where they cannot be had
#   slurm.sh start FOLDER   starts it; then `export SLURM_CONF=FOLDER/slurm.conf`
#   slurm.sh stop FOLDER    stops what start has started
#
# It listens on ports of its own and has its own munge socket and key, so a Slurm that is already here stays as it is.
set -euo pipefail

programs="sbatch squeue scancel scontrol slurmctld slurmd munged"

missing() {
    local program
    for program in $programs; do
        PATH="$PATH:/usr/sbin:/sbin" command -v "$program" > /dev/null || echo "$program"
    done
}

install_packages() {
    [ -n "$(missing)" ] || return 0
    if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
        echo "Slurm is not here ($(missing | tr '\n' ' ')), and without root and apt-get it cannot be installed" >&2
        return 3
    fi
    # Packages start nothing: the tests have their own daemons.
    local policy=/usr/sbin/policy-rc.d made=
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' > "$policy"
        chmod +x "$policy"
        made=1
    fi
    local options="-q -y -o DPkg::Lock::Timeout=120 -o Acquire::Retries=2"
    local code=0
    {
        DEBIAN_FRONTEND=noninteractive apt-get $options update &&
            DEBIAN_FRONTEND=noninteractive apt-get $options install --no-install-recommends \
                slurm-wlm slurm-wlm-basic-plugins munge
    } > /tmp/harness-slurm-install.$$ 2>&1 || code=$?
    [ -z "$made" ] || rm -f "$policy"
    if [ "$code" != 0 ] || [ -n "$(missing)" ]; then
        tail -5 /tmp/harness-slurm-install.$$ >&2
        rm -f /tmp/harness-slurm-install.$$
        echo "the packages of Slurm cannot be had" >&2
        return 3
    fi
    rm -f /tmp/harness-slurm-install.$$
}

# Waits for a condition, half a minute at most.
await() {
    local what=$1 i
    shift
    for i in $(seq 150); do
        if "$@" > /dev/null 2>&1; then return 0; fi
        sleep 0.2
    done
    echo "waited too long: $what" >&2
    return 1
}

is_up() { scontrol ping | grep -q ' UP'; }
is_idle() { sinfo -h -o %T | grep -q idle; }

configure() {
    local folder=$1 port=$2
    cat > "$folder/slurm.conf" << CONF
ClusterName=harness-test
SlurmctldHost=localhost
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CryptoType=crypto/munge
# A job that is queued again waits for two of these; the default makes it minutes.
AuthInfo=socket=$folder/munge.socket,cred_expire=5
StateSaveLocation=$folder/ctld
SlurmdSpoolDir=$folder/slurmd
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
SwitchType=switch/none
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
# Only here, not among the parameters of the scheduler, does it make preemption send the signal of --signal first.
SlurmctldParameters=preempt_send_user_signal
JobRequeue=1
MaxArraySize=1001
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=2,batch_sched_delay=1
ReturnToService=2
KillWait=5
MinJobAge=3600
# More cores than the machine has: what is tested is who runs when, not how fast.
SlurmdParameters=config_overrides
NodeName=localhost CPUs=8 Boards=1 SocketsPerBoard=1 CoresPerSocket=8 ThreadsPerCore=1 RealMemory=4000 State=UNKNOWN
PartitionName=steady Nodes=localhost Default=YES MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
PartitionName=batch Nodes=localhost Default=NO MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=3
CONF
}

start() {
    local folder=$1
    export PATH="$PATH:/usr/sbin:/sbin" SLURM_CONF="$folder/slurm.conf"
    mkdir -p "$folder/ctld" "$folder/slurmd"
    chmod 755 "$folder"
    dd if=/dev/urandom of="$folder/munge.key" bs=1024 count=1 status=none
    chmod 400 "$folder/munge.key"
    munged --force --socket="$folder/munge.socket" --key-file="$folder/munge.key" --pid-file="$folder/munged.pid" \
        --log-file="$folder/munged.log" --seed-file="$folder/munged.seed" 2> "$folder/munged.err"
    # Ports of this run's own.
    configure "$folder" $((20000 + $$ % 20000))
    slurmctld -f "$SLURM_CONF"
    await "slurmctld answers" is_up
    slurmd -f "$SLURM_CONF"
    await "the node is idle" is_idle
    sinfo
}

stop() {
    local folder=$1 daemon file
    for daemon in slurmd slurmctld munged; do
        file="$folder/$daemon.pid"
        if [ -s "$file" ]; then kill "$(cat "$file")" 2> /dev/null || true; fi
    done
}

case "${1:-}" in
    install) install_packages ;;
    start) start "$2" ;;
    stop) stop "$2" ;;
    *)
        echo "usage: slurm.sh install | start FOLDER | stop FOLDER" >&2
        exit 2
        ;;
esac
