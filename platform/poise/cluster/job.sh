# Runs a module of Poise with the Python of this node's Ray workers: sh job.sh MODULE WORD...
#
# `ray start` may have been called from an environment that is not on PATH. Ray starts its workers
# with that environment's Python all the same: the path is in the command line of the raylet, which
# is an ancestor of every job.
python=
pid=$PPID
while [ -r "/proc/$pid/cmdline" ] && [ "$pid" -gt 1 ] && [ -z "$python" ]; do
    python=$(tr '\0' '\n' < "/proc/$pid/cmdline" | sed -n \
        -e 's/^--python_worker_command="\([^"]*\)".*/\1/p' \
        -e 's/^--python_worker_command=\([^" ][^ ]*\).*/\1/p')
    pid=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$pid/status")
done
[ -x "$python" ] || python=$(command -v python3 || command -v python) || {
    echo "no Python is on the PATH of this node, where Ray was started" >&2
    exit 127
}
# The job's folder is deleted with the job. So runs go to the home folder of this node if POISE_HOME
# is set neither where the job was sent from nor where Ray was started.
export POISE_HOME="${POISE_HOME:-$HOME/poise-runs}"
# -P: a file in the job's folder such as `http.py` must not replace a module of Python.
module=$1
shift
exec "$python" -P -m "$module" "$@"
