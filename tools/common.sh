# shellcheck shell=bash
# What the set-up tools share: messages, the cache folder, logged commands, retries. Sourced, not run.

say() { printf '%s: %s\n' "${0##*/}" "$*"; }
warn() { say "$*" >&2; }
die() { warn "$*"; exit 1; }

# The folder for everything that is kept outside the work tree. CI machines may leave HOME unset.
cache_dir() {
    if [ -n "${POLYVISOR_CACHE:-}" ]; then
        printf '%s\n' "$POLYVISOR_CACHE"
    elif [ -n "${XDG_CACHE_HOME:-}" ]; then
        printf '%s\n' "$XDG_CACHE_HOME/polyvisor"
    else
        printf '%s\n' "${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}/.cache/polyvisor"
    fi
}

# The value of one key of /etc/os-release, or nothing.
os_release() { (. /etc/os-release 2>/dev/null && eval "printf '%s\n' \"\${$1:-}\""); }

# Waits for the lock file $1 and holds it until this process ends, so that concurrent set-ups take turns.
# Children do not inherit it (apt starts daemons on some machines): run them with 9>&-.
take_lock() {
    mkdir -p "$(dirname "$1")" || die "cannot create the folder $(dirname "$1")"
    exec 9>"$1" || die "cannot write $1"
    flock -n 9 || { say "waiting for another set-up to finish"; flock 9; }
}

# Runs a command with its output in the file $LOG.
logged() {
    printf '+ %s\n' "$*" >>"$LOG"
    "$@" >>"$LOG" 2>&1 </dev/null 9>&-
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# apt-get on the system's own packages and lists.
apt_get() {
    logged as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -y -o Acquire::Retries=3 -o DPkg::Lock::Timeout=600 "$@"
}

# Shows why the last logged command failed.
show_log() {
    grep -E "^(E|W|Err):?" "$LOG" | awk "!seen[\$0]++" | tail -n 8 >&2
    warn "the whole output is in $LOG"
}

# Runs a command up to three times: mirrors and networks have short failures.
retry() {
    local attempt
    for attempt in 1 2 3; do
        "$@" && return 0
        [ "$attempt" = 3 ] || { warn "failed, trying again"; sleep $((attempt * 3)); }
    done
    return 1
}
