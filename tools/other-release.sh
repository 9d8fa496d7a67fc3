# shellcheck shell=bash
# Packages of another Debian release than this machine's, without touching the system. Sourced after common.sh, not run. The
# caller sets release (its code name) and work (a folder that it deletes afterwards).
# shellcheck disable=SC2086,SC2154      # lists of names are meant to be split; variables of the caller
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# The mirrors that this machine takes its own Debian release from; they carry the other releases too. Arguments go to
# apt-get, which lists only mirrors whose package lists it has.
known_mirrors() {
    apt-get "$@" indextargets --format '$(RELEASE) $(COMPONENT) $(SITE)' 'Created-By: Packages' |
        awk -v own="$(os_release VERSION_CODENAME)" '$2 == "main" && !seen[$3]++ &&
            ($1 == own || $1 ~ /^(old)*stable$|^testing$|^sid$|^unstable$/) { print $3 }'
}

# The same on a machine that has never updated its lists: reads them, into a folder of our own.
mirrors() {
    local own_lists=(-o "Dir::State=$work/own-lists" -o APT::Sandbox::User=)
    known_mirrors | grep . && return
    mkdir -p "$work/own-lists/lists/partial"
    logged apt-get -q "${own_lists[@]}" -o Acquire::Retries=3 -o APT::Update::Post-Invoke-Success= update
    known_mirrors "${own_lists[@]}"
}

# Options for apt: private lists, with nothing installed, so that it resolves and fetches everything down to libc. It runs
# its downloads as the user that started it, since apt's own user may not enter the cache folder.
private_options() {
    printf -- '-o\n%s\n' Dir::State="$work/state" Dir::State::status="$work/status" Dir::Cache="$work/cache" \
        Dir::Etc::sourcelist="$work/sources.list" Dir::Etc::sourceparts=/dev/null \
        Dir::Etc::preferences=/dev/null Dir::Etc::preferencesparts=/dev/null \
        APT::Sandbox::User= APT::Architecture=amd64 APT::Architectures=amd64 APT::Install-Recommends=false \
        APT::Update::Error-Mode=any APT::Update::Post-Invoke-Success= Acquire::Retries=3
}
private_apt() {
    local options
    mapfile -t options < <(private_options)
    logged apt-get -q -y "${options[@]}" "$@"
}
private_apt_cache() {
    local options
    mapfile -t options < <(private_options)
    apt-cache "${options[@]}" "$@" 2>/dev/null
}

# Of the mirror $1; with a second argument, deb-src, those of source packages too.
read_lists() {
    local type
    say "reading the package lists of $release ($1)"
    for type in deb ${2:-}; do
        printf '%s [signed-by=%s] %s %s main\n' "$type" "$keyring" "$1" "$release"
    done >"$work/sources.list"
    private_apt update
}

# Calls $1 with one mirror after the other until it succeeds; shows the log if it never does.
from_mirrors() {
    local sites site
    sites=$(mirrors)
    [ -n "$sites" ] || { show_log; die "apt's configuration names no mirror of Debian that can be reached"; }
    for site in $sites; do
        retry "$1" "$site" && return
    done
    show_log
    return 1
}

# The folders that private_apt needs.
prepare_private_apt() {
    [ -r "$keyring" ] || die "$keyring is missing: install the package debian-archive-keyring"
    mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial" || die "cannot write to $work"
    : >"$work/status"
}
