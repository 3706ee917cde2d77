#!/bin/bash
# A Ray cluster for the length of a SLURM job: the first node is the head, the others join it.
#
#     sbatch deploy/slurm.sh /shared/heads --heads 100000
#
# Out of time or preempted, it is queued again and renders what is missing.
#SBATCH --job-name=headloom
#SBATCH --nodes=8
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=32
#SBATCH --mem=64G
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --signal=B:TERM@120
set -euo pipefail

OUT=${1:?usage: sbatch deploy/slurm.sh OUT [flags of headloom render]}
shift
VENV=${VENV:-$SLURM_SUBMIT_DIR/.venv}     # on the shared disk, made by `make setup`
source "$VENV/bin/activate"

head_node=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
head_ip=$(srun --nodes=1 --ntasks=1 --nodelist="$head_node" hostname -I | awk '{print $1}')
export RAY_AUTH_MODE=token                # other users of these machines must not join
export RAY_AUTH_TOKEN=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
port=$((20000 + SLURM_JOB_ID % 20000))    # several jobs may share a machine
temporary=/tmp/ray-$SLURM_JOB_ID          # on each node's own disk, a short path

ray_start() {  # --block: SLURM ends with the step what the step started
    srun --nodes="$1" --ntasks="$1" "${@:2}" --disable-usage-stats --block &
}
ray_start 1 --nodelist="$head_node" ray start --head --node-ip-address="$head_ip" --port="$port" \
    --num-cpus="$SLURM_CPUS_PER_TASK" --temp-dir="$temporary" --dashboard-host=0.0.0.0
others=$((SLURM_JOB_NUM_NODES - 1))
if (( others > 0 )); then
    ray_start "$others" --exclude="$head_node" ray start --address="$head_ip:$port" \
        --num-cpus="$SLURM_CPUS_PER_TASK"
fi
for _ in $(seq 60); do
    ray status --address="$head_ip:$port" >/dev/null 2>&1 && break
    sleep 2
done

# --overlap: the driver is a step beside those that hold the CPUs
status=0
srun --overlap --nodes=1 --ntasks=1 --nodelist="$head_node" \
    headloom render --address "$head_ip:$port" --out "$OUT" "$@" || status=$?
kill $(jobs -p) 2>/dev/null || true
exit "$status"
