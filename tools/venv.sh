# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: Apache-2.0
# The scripts of tools/ source this file, which builds the virtual environment that they use.
#
# It sets TOP (the checkout) and VENV (.venv, or $TRIO2O_VENV). `ensure_venv` installs the requirement files with
# tools/constraints.txt into VENV, unless a file in VENV has their hash already. $TRIO2O_PYTHON names the
# interpreter; the default is the fastest one of the oldest version from 3.11 on.

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=${TRIO2O_VENV:-$TOP/.venv}
VENV_INPUTS=(setup.cfg pyproject.toml requirements.txt test-requirements.txt doc/requirements.txt
    tools/constraints.txt tools/venv.sh tools/uv_settings.py)

# See venv_pip: without bytecode, each process would compile what it imports.
unset PYTHONDONTWRITEBYTECODE

say() {
    printf '%s  %s\n' "$(date +%H:%M:%S)" "$*"
}

die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

is_root() {
    [ "$(id -u)" -eq 0 ]
}

# apt_install PACKAGE...: as root on a Debian system only. Refreshes the package lists once a run.
APT_LOG=$TOP/build/apt.log
APT_REFRESHED=
apt_install() {
    mkdir -p "$(dirname "$APT_LOG")"
    if [ -z "$APT_REFRESHED" ]; then
        apt-get update -qq >"$APT_LOG" 2>&1 || say "apt-get update failed: see $APT_LOG"
        APT_REFRESHED=yes
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >>"$APT_LOG" 2>&1
}

# quiet COMMAND...: write the output of pip to a log, because it is mostly warnings about mirrors and build tools. If
# the command fails, show all of it.
PIP_LOG=$TOP/build/pip.log
quiet() {
    mkdir -p "$(dirname "$PIP_LOG")"
    if ! "$@" >"$PIP_LOG" 2>&1; then
        cat "$PIP_LOG" >&2
        return 1
    fi
}

# Ends with an error if the interpreter is too old. Prints whether it lacks what an environment is made with (0 or 1), and
# how many seconds it takes to compile a module: interpreters of one version differ by a third. Distributions build theirs
# with optimizations, and those who build it themselves often without.
JUDGE_PYTHON='
import argparse, importlib.util, pathlib, sys, time

def measure():
    begun = time.process_time()
    compile(source, "argparse", "exec")
    return time.process_time() - begun

if sys.version_info < (3, 11):
    sys.exit(1)
source = pathlib.Path(argparse.__file__).read_text()
print(int(importlib.util.find_spec("ensurepip") is None), f"{min(measure() for _ in range(5)):.6f}")
'

# find_python: print the path of the fastest of all interpreters with the first name that any has; TRIO2O_PYTHON is the
# only name if it is set.
find_python() {
    local name candidate judged found names=(python3.11 python3.12 python3.13 python3.14 python3)
    [ -z "${TRIO2O_PYTHON:-}" ] || names=("$TRIO2O_PYTHON")
    for name in "${names[@]}"; do
        found=$(type -ap "$name" | while read -r candidate; do
            ! judged=$(timeout 60 "$candidate" -c "$JUDGE_PYTHON" </dev/null 2>/dev/null) ||
                echo "$(tail -n 1 <<<"$judged") $candidate"
        done | sort -k 1,1n -k 2,2n | head -n 1 | cut -d ' ' -f 3-)
        if [ -n "$found" ]; then
            echo "$found"
            return
        fi
    done
    return 1
}

# On Debian, ensurepip is in the package python3-venv, which may not be installed.
create_venv() {
    local python=$1
    if "$python" -c 'import ensurepip' 2>/dev/null; then
        "$python" -m venv "$VENV"
    elif is_root && command -v apt-get >/dev/null; then
        say "installing the Debian package python3-venv"
        apt_install python3-venv && "$python" -m venv "$VENV"
    elif "$python" -m virtualenv --version >/dev/null 2>&1; then
        "$python" -m virtualenv -q "$VENV"
    elif "$python" -m pip --version >/dev/null 2>&1; then
        "$python" -m venv --without-pip "$VENV" &&
            quiet "$python" -m pip -q --python "$VENV/bin/python" install pip
    else
        die "$python has neither ensurepip, virtualenv nor pip: install python3-venv and try again"
    fi
}

venv_stamp() {
    (cd "$TOP" && { "$VENV/bin/python" -V; echo "$TOP"; cat "${VENV_INPUTS[@]}"; } 2>/dev/null) |
        sha256sum | cut -d ' ' -f 1
}

# venv_pip WORD...: install packages without bytecode: Python compiles what is imported, a third of the modules, and
# keeps that.
venv_pip() {
    install_packages "$VENV/bin/python" -c "$TOP/tools/constraints.txt" "$@"
}

# install_packages PYTHON WORD...: install packages in the environment of an interpreter, as `pip install` does. uv takes
# a third of the time that pip takes; where it is not installed, has no option for a setting of pip or fails, pip does it.
install_packages() {
    local python=$1 settings options
    shift
    if [ -x "$VENV/bin/uv" ] &&
        settings=$("$VENV/bin/python" -m pip --disable-pip-version-check config list) &&
        options=$("$VENV/bin/python" "$TOP/tools/uv_settings.py" <<<"$settings"); then
        mapfile -t options <<<"$options"
        quiet "$VENV/bin/uv" pip install -q --python "$python" "${options[@]}" "$@" && return
        say "uv failed: pip installs the packages"
    fi
    quiet "$VENV/bin/python" -m pip --python "$python" --disable-pip-version-check --no-input -q install \
        --no-compile --no-warn-script-location "$@"
}

# ensure_venv [COMMAND...]: build it. COMMAND, which may use bindep, runs in the background meanwhile; BESIDE is its
# process id.
BESIDE=
ensure_venv() {
    local python stamp_file=$VENV/trio2o-requirements.sha256
    if [ ! -x "$VENV/bin/python" ]; then
        python=$(find_python) || die 'no Python 3.11 or later found (TRIO2O_PYTHON may name one)'
        say "creating a virtual environment in $VENV with $("$python" -V)"
        create_venv "$python" || die "could not create $VENV"
    fi
    if [ "$(cat "$stamp_file" 2>/dev/null)" = "$(venv_stamp)" ]; then
        beside "$@"
        return
    fi
    # pbr gets the version from git. Set one if git cannot (no git, or a checkout of another user).
    if [ -z "${PBR_VERSION:-}" ] && ! git -C "$TOP" rev-parse HEAD >/dev/null 2>&1; then
        export PBR_VERSION=0.0.0
    fi
    say "installing Trio2o, the services of real pods, clients and test tools (a minute or two the first time)"
    # Without build isolation, so that pip uses the setuptools and pbr of the constraints and no other versions.
    venv_pip pip setuptools wheel pbr bindep uv || venv_pip pip setuptools wheel pbr bindep ||
        die 'installing the build tools failed'
    beside "$@"
    (cd "$TOP" && venv_pip --no-build-isolation -e '.[lab,postgresql]' \
        -r test-requirements.txt -r doc/requirements.txt) || die 'installing the requirements failed'
    venv_stamp > "$stamp_file"
    say "virtual environment ready: $(find "$VENV"/lib/python*/site-packages -maxdepth 1 -name '*.dist-info' | wc -l) packages"
}

# beside [COMMAND...]: run a command in the background, and set BESIDE.
beside() {
    [ $# -gt 0 ] || return 0
    "$@" &
    BESIDE=$!
}

# A second environment with the services of a pod of the release before. It imports all other packages from the first
# one, so the build takes half a minute. $TRIO2O_OLDER_VENV names another folder for it.
OLDER_VENV=${TRIO2O_OLDER_VENV:-$TOP/build/older-venv}
OLDER_INPUT=$TOP/tools/older-release.txt

# ensure_older_venv: build it. The status is not 0 if that fails, for example without network.
ensure_older_venv() (
    local stamp site stamp_file=$OLDER_VENV/trio2o-requirements.sha256
    local site_of='import sysconfig; print(sysconfig.get_path("purelib"))'
    # Two labs may want it at once.
    mkdir -p "$(dirname "$OLDER_VENV")"
    exec 7>"$OLDER_VENV.lock"
    flock 7
    stamp=$({ "$VENV/bin/python" -V; echo "$VENV"; cat "$OLDER_INPUT"; } | sha256sum | cut -d ' ' -f 1)
    if [ "$(cat "$stamp_file" 2>/dev/null)" = "$stamp" ]; then
        return 0
    fi
    say "building $OLDER_VENV with the services of an older release"
    rm -rf "$OLDER_VENV"
    "$VENV/bin/python" -m venv --without-pip "$OLDER_VENV" || return 1
    install_packages "$OLDER_VENV/bin/python" --no-deps -r "$OLDER_INPUT" || return 1
    site=$("$OLDER_VENV/bin/python" -c "$site_of") || return 1
    "$VENV/bin/python" -c "$site_of" >"$site/rest.pth"
    echo "$stamp" >"$stamp_file"
)
