#!/bin/bash
# Pretraining on several nodes under Slurm; the job requeues itself until the run is done.
#   sbatch docs/slurm_pretrain.sh imagenet_b16 --train.root IMAGES --val.root IMAGES --run.folder RUN
# Submit from the checkout. RUN and IMAGES must be on storage that all nodes see.
# Five minutes before the time limit Slurm signals this shell, which ends the job step with SIGTERM:
# every process saves at the same step and leaves; the job goes back into the queue and resumes.
#SBATCH --job-name=mixer
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=24:00:00
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=mixer-%j.log

set -u
cd "${SLURM_SUBMIT_DIR:?start this script with sbatch}" || exit 2
# shellcheck source=/dev/null
source .venv/bin/activate

head_node=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 10000))
gpus=${SLURM_GPUS_ON_NODE:?ask for GPUs with --gpus-per-node}
threads=$((SLURM_CPUS_PER_TASK / gpus))
signalled=0

# One launcher a node; torchrun hands SIGTERM on to its processes, and kills those that are not gone
# after TORCH_ELASTIC_SHUTDOWN_TIMEOUT seconds (30 unless set). srun runs in the background so that the shell can take signals.
export OMP_NUM_THREADS=1 ACCELERATE_MIXED_PRECISION=bf16 TORCH_ELASTIC_SHUTDOWN_TIMEOUT=240
srun --kill-on-bad-exit=1 torchrun \
    --nnodes "$SLURM_NNODES" --nproc_per_node "$gpus" \
    --rdzv_backend c10d --rdzv_endpoint "$head_node:$port" --rdzv_id "$SLURM_JOB_ID" \
    core/pretrain.py "$@" --train.workers "$threads" --val.workers "$threads" --run.resume &
step=$!
trap 'signalled=1; kill -TERM "$step"' USR1 TERM

wait "$step"
status=$?
while kill -0 "$step" 2>/dev/null; do # a signal interrupts wait
    wait "$step"
    status=$?
done

if [ "$signalled" = 1 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
