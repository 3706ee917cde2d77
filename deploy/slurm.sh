#!/bin/bash
# A Ray cluster for the length of a SLURM job: the first node is the head, the others join it.
#
#     sbatch deploy/slurm.sh /shared/heads --heads 100000
#
# Before its time is over, or when it is preempted, the job is queued again, and renders what is
# missing. It ends by itself when every head is there; `scancel` ends it for good.
#SBATCH --job-name=headloom
#SBATCH --nodes=8
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=32
#SBATCH --mem=64G
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@120
set -euo pipefail
driver= requeue=
trap 'requeue=yes; kill $driver || true' USR1   # the time is nearly over

OUT=${1:?usage: sbatch deploy/slurm.sh OUT [flags of headloom render]}
shift
source "${VENV:-$SLURM_SUBMIT_DIR/.venv}/bin/activate"     # on the shared disk, by `make setup`

# A driver that was killed with its node holds the dataset for another minute.
if (( ${SLURM_RESTART_COUNT:-0} > 0 )); then sleep 60; fi

export RAY_AUTH_MODE=token                # other users of these machines must not join
RAY_AUTH_TOKEN=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
export RAY_AUTH_TOKEN
export scratch=/tmp/ray-$SLURM_JOB_ID     # on each node's own disk, a short path
rm -rf "$scratch"
trap 'rm -rf "$scratch"' EXIT

# Several jobs may share a machine: no fixed ports (hence no dashboard; status.json in the dataset
# tells as much), and no more memory than SLURM gave.
export flags="--num-cpus=$SLURM_CPUS_PER_TASK --memory=$((SLURM_MEM_PER_NODE * 900000))
    --object-store-memory=1000000000 --dashboard-agent-listen-port=0 --disable-usage-stats --block"
client_port=$((20000 + SLURM_JOB_ID % 10000))

# This script runs on the first node.
head_ip=$(hostname -I | awk '{print $1}')
ray start --head --node-ip-address="$head_ip" --port=0 --temp-dir="$scratch" \
    --ray-client-server-port="$client_port" --include-dashboard=false $flags &
head=$!
until [[ -s $scratch/ray_current_cluster ]]; do
    kill -0 "$head"                       # it may have failed
    sleep 1
done
export address=$(< "$scratch/ray_current_cluster")

others=$((SLURM_JOB_NUM_NODES - 1))
if (( others > 0 )); then
    # a node that was cut off for a while comes back
    srun --nodes="$others" --ntasks="$others" --exclude="$SLURMD_NODENAME" \
        --cpus-per-task="$SLURM_CPUS_PER_TASK" bash -c '
            trap "kill \$!; wait; rm -rf $scratch; exit" TERM
            while :; do ray start --address="$address" $flags & wait; sleep 10; done' &
fi

headloom render --address "$address" --out "$OUT" "$@" &
driver=$!
trap 'kill $driver || true' TERM                # preempted, or cancelled
if [[ $requeue ]]; then kill $driver; fi
while kill -0 $driver 2>/dev/null; do
    wait $driver || true                        # a signal ends the wait, not the driver
done
status=0
wait $driver || status=$?
trap '' TERM
kill $(jobs -p) 2>/dev/null || true
wait
if [[ $requeue ]]; then scontrol requeue "$SLURM_JOB_ID"; fi
exit "$status"
