# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Replacements of the functions of DevStack that the plug-in calls: the same names and arguments, and
# the same effect as far as it reaches the plug-in. Keystone is real; processes, files and databases are too.
# A function that DevStack has not got is not here either.

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# Files
# -----

# iniset FILE SECTION OPTION VALUE
function iniset {
    local file=$1 section=$2 option=$3 value=$4
    touch "$file"
    grep -qxF "[$section]" "$file" || printf '\n[%s]\n' "$section" >>"$file"
    awk -v section="[$section]" -v option="$option" -v value="$value" '
        /^\[/ { inside = ($0 == section) }
        inside && $0 ~ "^" option "[ \t]*=" { next }
        { print }
        $0 == section { print option " = " value }
    ' "$file" >"$file.new"
    cat "$file.new" >"$file"
    rm "$file.new"
}

function trueorfalse {
    case ${!2:-$1} in
        1 | yes | Yes | YES | true | True | TRUE) echo True ;;
        *) echo False ;;
    esac
}

function ipv6_unquote {
    echo "$1" | tr -d '[]'
}

function setup_logging {
    iniset "$1" DEFAULT use_stderr True
}

# Messages
# --------

function echo_summary {
    echo "== $*"
}

function warn {
    echo "WARNING: ${*:2}" >&2
}

function die {
    echo "ERROR: ${*:2}" >&2
    exit 1
}

# Services
# --------

function enable_service {
    local service
    for service in "$@"; do
        if [[ ",$DISABLED_SERVICES," != *",$service,"* ]] && ! is_service_enabled "$service"; then
            ENABLED_SERVICES+=",$service"
        fi
    done
}

function disable_service {
    local service
    for service in "$@"; do
        DISABLED_SERVICES+=",$service"
        ENABLED_SERVICES=$(tr ',' '\n' <<<"$ENABLED_SERVICES" | { grep -vx "$service" || true; } | paste -sd,)
    done
}

function is_service_enabled {
    local service
    for service in "$@"; do
        if [[ ",$ENABLED_SERVICES," == *",$service,"* ]]; then
            return 0
        fi
    done
    return 1
}

function enable_plugin {
    echo "plug-in $1 from $2"
}

function define_plugin {
    echo "plug-in $1"
}

function setup_develop {
    [[ -f "$1/setup.cfg" ]] || die $LINENO "no checkout in $1"
}

function get_python_exec_prefix {
    echo "$SUBSTITUTE_BIN"
}

function sudo {
    "$@"
}

# run_process SERVICE COMMAND: without a shell, as systemd does
function run_process {
    local service=$1 command=$2
    local -a words
    [[ "$command" == /* ]] || die $LINENO "systemd wants an absolute path, not $command"
    if _is_running "$service"; then
        die $LINENO "$service runs already"
    fi
    read -ra words <<<"$command"
    (
        # uWSGI sets what its file says before it starts Python. That of pyuwsgi is started by Python.
        if [[ "$command" == *" --ini "* ]]; then
            # shellcheck disable=SC2046
            export $(sed -n 's/^env = //p' "${command##* }")
        fi
        exec setsid "${words[@]}" </dev/null >>"$SUBSTITUTE_LOG.$service.log" 2>&1
    ) &
    echo $! >"$SUBSTITUTE_STATE/run/$service.pid"
}

function _is_running {
    [[ -f "$SUBSTITUTE_STATE/run/$1.pid" ]] && kill -0 "$(cat "$SUBSTITUTE_STATE/run/$1.pid")" 2>/dev/null
}

function stop_process {
    local pid tries
    if _is_running "$1"; then
        pid=$(cat "$SUBSTITUTE_STATE/run/$1.pid")
        kill "$pid"
        for tries in $(seq 150); do
            _is_running "$1" || break
            [[ "$tries" -lt 150 ]] || kill -9 -- "-$pid"
            sleep 0.2
        done
    fi
    rm -f "$SUBSTITUTE_STATE/run/$1.pid"
}

# wait_for_service SECONDS URL: until something that is no 503 answers
function wait_for_service {
    # shellcheck disable=SC2016
    timeout "$1" bash -c '
        until code=$(curl -g -k --noproxy "*" -s -o /dev/null -w "%{http_code}" "$0") && [[ "$code" != 503 ]]; do
            sleep 0.5
        done' "$2"
}

# SYSTEMCTL: the units of the node that are services of the lab
function systemctl_substitute {
    local verb=$1 unit=${*: -1}
    local service=${unit#devstack@}
    [[ "${service%.service}" == neutron-api ]] && is_service_enabled q-svc || return 3
    if [[ "$verb" == restart ]]; then
        lab_stop neutron
        lab_start neutron
    fi
}

# async_runfunc FUNCTION: in the background, as with DEVSTACK_PARALLEL
function async_runfunc {
    mkdir -p "$DEST/async"
    "$@" &
    echo $! >"$DEST/async/$1"
}

# async_wait FUNCTION...: once each; what runs here may take until somebody waits for it
function async_wait {
    local name
    for name in "$@"; do
        if [[ ! -f "$DEST/async/$name" ]]; then
            echo "Not waiting for async task $name that we never started or has already been waited for"
            continue
        fi
        touch "$DEST/async/$name.awaited"
        wait "$(cat "$DEST/async/$name")"
        rm "$DEST/async/$name" "$DEST/async/$name.awaited"
    done
}

function _until_awaited {
    until [[ -f "$DEST/async/$1.awaited" ]]; do
        sleep 0.1
    done
}

# Apache
# ------

function apache_site_config_for {
    echo "$SUBSTITUTE_STATE/apache/$1.conf"
}

# start_tls_proxy NAME FRONT-HOST FRONT-PORT BACK-HOST BACK-PORT
function start_tls_proxy {
    local site=$1-tls-proxy
    echo "$2:$3 $4:$5" >"$(apache_site_config_for "$site")"
    run_process "$site" "$SUBSTITUTE_BIN/python $HERE/tls_proxy.py $DEVSTACK_CERT $3 $4 $5"
}

# stop_tls_proxy: Apache stops, its sites stay
function stop_tls_proxy {
    local site
    for site in "$SUBSTITUTE_STATE"/run/*-tls-proxy.pid; do
        stop_process "$(basename "$site" .pid)"
    done
}

# init_CA and init_cert: one certificate that is its own authority
function init_cert {
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=$SERVICE_HOST" \
        -addext "subjectAltName=IP:$SERVICE_HOST" -keyout "$DEVSTACK_CERT.key" -out "$SSL_BUNDLE_FILE" 2>/dev/null
    cat "$DEVSTACK_CERT.key" "$SSL_BUNDLE_FILE" >"$DEVSTACK_CERT"
}

function cleanup_CA {
    rm -f "$DEVSTACK_CERT" "$DEVSTACK_CERT.key" "$SSL_BUNDLE_FILE"
}

# write_uwsgi_config FILE MODULE:VARIABLE URL HTTP NAME
function write_uwsgi_config {
    local conf=$1 wsgi=$2 http=$4 name=$5
    [[ "$wsgi" =~ ^[a-zA-Z0-9_.]+:[a-zA-Z0-9_]+$ ]] || die $LINENO "a path of a WSGI file is deprecated: $wsgi"
    [[ -n "$http" && -n "$name" ]] || die $LINENO "write_uwsgi_config needs an address and a name here"
    rm -f "$conf"
    iniset "$conf" uwsgi module "$wsgi"
    iniset "$conf" uwsgi processes "$API_WORKERS"
    iniset "$conf" uwsgi master true
    iniset "$conf" uwsgi die-on-term true
    iniset "$conf" uwsgi exit-on-reload true
    iniset "$conf" uwsgi enable-threads true
    iniset "$conf" uwsgi thunder-lock true
    iniset "$conf" uwsgi buffer-size 65535
    iniset "$conf" uwsgi add-header "Connection: close"
    iniset "$conf" uwsgi lazy-apps true
    iniset "$conf" uwsgi http "$http"
}

# remove_uwsgi_config FILE NAME
function remove_uwsgi_config {
    [[ "$2" != /* ]] || die $LINENO "a path of a WSGI file is deprecated: $2"
    rm -f "$1" "$(apache_site_config_for "$2")"
}

# Databases and messages
# ----------------------

function database_connection_url {
    if [[ -n "$SUBSTITUTE_DATABASE" ]]; then
        echo "${SUBSTITUTE_DATABASE%/*}/devstack_$1?charset=utf8"
    else
        echo "sqlite:///$SUBSTITUTE_STATE/$1.sqlite"
    fi
}

function recreate_database {
    "$SUBSTITUTE_BIN/python" - "$(database_connection_url "$1")" <<'PYTHON'
import pathlib
import sys

import sqlalchemy

url = sqlalchemy.make_url(sys.argv[1])
if url.drivername == 'sqlite':
    pathlib.Path(url.database).unlink(missing_ok=True)
else:
    with sqlalchemy.create_engine(url.set(database='')).connect() as connection:
        connection.exec_driver_sql(f'DROP DATABASE IF EXISTS {url.database}')
        connection.exec_driver_sql(f'CREATE DATABASE {url.database} CHARACTER SET utf8')
PYTHON
}

# iniset_rpc_backend PROJECT FILE
function iniset_rpc_backend {
    iniset "$2" DEFAULT transport_url "$SUBSTITUTE_TRANSPORT"
}

# Keystone
# --------

# configure_keystone_authtoken_middleware FILE USER [SECTION]
function configure_keystone_authtoken_middleware {
    local conf=$1 user=$2 section=${3:-keystone_authtoken}
    iniset "$conf" "$section" auth_type password
    iniset "$conf" "$section" interface public
    iniset "$conf" "$section" auth_url "$KEYSTONE_SERVICE_URI"
    iniset "$conf" "$section" username "$user"
    iniset "$conf" "$section" password "$SERVICE_PASSWORD"
    iniset "$conf" "$section" user_domain_name "$SERVICE_DOMAIN_NAME"
    iniset "$conf" "$section" project_name "$SERVICE_PROJECT_NAME"
    iniset "$conf" "$section" project_domain_name "$SERVICE_DOMAIN_NAME"
    iniset "$conf" "$section" memcached_servers ""
}

function _identity {
    "$SUBSTITUTE_BIN/python" "$HERE/identity.py" "$@"
}

# create_service_user NAME [ROLE]
function create_service_user {
    _identity user "$1" service ${2:+"$2"}
}

# get_or_create_service NAME TYPE DESCRIPTION
function get_or_create_service {
    _identity service "$@"
}
