# docker build -t mixer .                              PyTorch for CPUs
# docker build -t mixer --build-arg PYTORCH=cuda .     with CUDA; run with --gpus all
# docker run --rm -v "$PWD/runs:/mixer/runs" mixer python apps/pose/train.py debug
FROM python:3.11-slim

ARG PYTORCH=cpu
# git: a run notes its commit, where there is one; the others: what Open3D is linked to
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git libegl1 libgl1 libgomp1 libidn2-0 libx11-6 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /mixer
ENV PATH=/mixer/.venv/bin:$PATH UV_LINK_MODE=copy
COPY requirements.txt pyproject.toml README.md ./
# the pins, for CPUs without CUDA's libraries
RUN python -m venv .venv \
    && pip install --no-cache-dir "$(grep -o '^uv==[0-9.]*' requirements.txt)" \
    && if [ "$PYTORCH" = cpu ]; then \
         grep -vE '^(cuda-|nvidia-|triton)' requirements.txt > pins.txt && export UV_TORCH_BACKEND=cpu; \
       else \
         cp requirements.txt pins.txt; \
       fi \
    && uv pip install --no-cache --compile-bytecode --no-deps -r pins.txt

COPY . .
RUN uv pip install --no-cache --no-deps --no-build-isolation -e .
CMD ["python", "apps/pose/train.py", "--help"]
