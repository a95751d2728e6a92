# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Trio2o on a DevStack node: the gateway, with the node's own Nova, Placement and Cinder as the first
# pod behind it; or, with the services t-* disabled, another node's pod.
#
#   stack post-config   configuration and database; the node's services get a region of their own,
#                       while the top region still shows them too
#   stack extra         the gateway starts, the top region's endpoints move to it, the pod registers
#   stack test-config   tempest.conf
#   unstack             everything stops, the catalog is as before; another node's gateway forgets the pod
#   clean               no file is left
#
# What the node's services look up, they look up by region: their own region for one another, the
# top region for Keystone, Glance and Neutron, which all pods share. Neutron's events for Nova go to
# the top region too, as only the gateway knows which pod a server is in.

# Save trace setting
_XTRACE_TRIO2O=$(set +o | grep xtrace)
set +o xtrace

TRIO2O_SERVICES=(t-oapi t-ngw t-cgw t-ojob)


# Facts
# -----

# is_trio2o_enabled() - Whether any part of the gateway runs on this node
function is_trio2o_enabled {
    is_service_enabled "${TRIO2O_SERVICES[@]}"
}

# _trio2o_name() - The name of a service: of its command, of its site, of its file
function _trio2o_name {
    case $1 in
        t-oapi) echo trio2o-api ;;
        t-ngw) echo trio2o-nova-apigw ;;
        t-cgw) echo trio2o-cinder-apigw ;;
        t-ojob) echo trio2o-xjob ;;
    esac
}

function _trio2o_uwsgi_conf {
    echo "$TRIO2O_CONF_DIR/$(_trio2o_name "$1")-uwsgi.ini"
}

# _trio2o_application() - Its WSGI module, and its section of trio2o.conf
function _trio2o_application {
    case $1 in
        t-oapi) echo api ;;
        t-ngw) echo nova_apigw ;;
        t-cgw) echo cinder_apigw ;;
    esac
}

# _trio2o_host() and _trio2o_port() - Where clients find it
function _trio2o_host {
    case $1 in
        t-oapi) echo "$TRIO2O_API_HOST" ;;
        t-ngw) echo "$TRIO2O_NOVA_APIGW_HOST" ;;
        t-cgw) echo "$TRIO2O_CINDER_APIGW_HOST" ;;
    esac
}

function _trio2o_port {
    case $1 in
        t-oapi) echo "$TRIO2O_API_PORT" ;;
        t-ngw) echo "$TRIO2O_NOVA_APIGW_PORT" ;;
        t-cgw) echo "$TRIO2O_CINDER_APIGW_PORT" ;;
    esac
}

# _trio2o_listen_port() - Where it listens: behind tls-proxy on a port of its own
function _trio2o_listen_port {
    if ! is_service_enabled tls-proxy; then
        _trio2o_port "$1"
        return
    fi
    case $1 in
        t-oapi) echo "$TRIO2O_API_PORT_INT" ;;
        t-ngw) echo "$TRIO2O_NOVA_APIGW_PORT_INT" ;;
        t-cgw) echo "$TRIO2O_CINDER_APIGW_PORT_INT" ;;
    esac
}

function _trio2o_url {
    echo "$TRIO2O_SERVICE_PROTOCOL://$(_trio2o_host "$1"):$(_trio2o_port "$1")"
}

# _trio2o_http_services() - Those of the gateway's services on this node that answer HTTP
function _trio2o_http_services {
    local service
    for service in t-oapi t-ngw t-cgw; do
        if is_service_enabled $service; then
            echo $service
        fi
    done
}


# Configuration
# -------------

# configure_trio2o() - One file for all services, and uWSGI's beside it
function configure_trio2o {
    sudo install -d -o "$STACK_USER" -m 755 "$TRIO2O_CONF_DIR"
    sudo install -d -o "$STACK_USER" -m 755 "$TRIO2O_STATE_PATH"

    rm -f "$TRIO2O_CONF"
    iniset "$TRIO2O_CONF" DEFAULT debug "$ENABLE_DEBUG_LOG_LEVEL"
    iniset "$TRIO2O_CONF" DEFAULT region_name "$TRIO2O_TOP_REGION"
    iniset "$TRIO2O_CONF" DEFAULT state_path "$TRIO2O_STATE_PATH"
    iniset "$TRIO2O_CONF" database connection "$(database_connection_url trio2o)"
    iniset_rpc_backend trio2o "$TRIO2O_CONF"

    configure_keystone_authtoken_middleware "$TRIO2O_CONF" trio2o
    iniset "$TRIO2O_CONF" keystone_authtoken service_token_roles service
    iniset "$TRIO2O_CONF" keystone_authtoken service_token_roles_required True
    configure_keystone_authtoken_middleware "$TRIO2O_CONF" trio2o service_auth
    if is_service_enabled tls-proxy; then
        iniset "$TRIO2O_CONF" pods cafile "$SSL_BUNDLE_FILE"
    fi

    setup_logging "$TRIO2O_CONF"

    local service
    for service in $(_trio2o_http_services); do
        _configure_trio2o_http "$service"
    done
}

function _configure_trio2o_http {
    local service=$1
    local application conf
    application=$(_trio2o_application "$service")
    conf=$(_trio2o_uwsgi_conf "$service")

    iniset "$TRIO2O_CONF" "$application" bind_host "$(ipv6_unquote "$TRIO2O_LISTEN_ADDRESS")"
    iniset "$TRIO2O_CONF" "$application" bind_port "$(_trio2o_listen_port "$service")"
    iniset "$TRIO2O_CONF" "$application" workers "$API_WORKERS"
    if is_service_enabled tls-proxy; then
        # Behind a proxy the request does not tell how the client came.
        iniset "$TRIO2O_CONF" "$application" public_endpoint "$(_trio2o_url "$service")"
    fi
    if [[ "$TRIO2O_USE_UWSGI" == "True" ]]; then
        write_uwsgi_config "$conf" "trio2o.wsgi.$application:application" "" \
            "$TRIO2O_LISTEN_ADDRESS:$(_trio2o_listen_port "$service")" "$(_trio2o_name "$service")"
        iniset "$conf" uwsgi threads "$TRIO2O_UWSGI_THREADS"
        iniset "$conf" uwsgi need-app true
        iniset "$conf" uwsgi env "OS_TRIO2O_CONFIG_FILES=$TRIO2O_CONF"
    fi
}

# init_trio2o() - The database, empty and at the newest revision
function init_trio2o {
    recreate_database trio2o
    "$TRIO2O_BIN_DIR/trio2o-db-manage" --config-file "$TRIO2O_CONF" db_sync
}

# configure_trio2o_pod() - Tell the node's services in which region to look for what
# They have not been started yet; nova-compute's file is made from nova.conf when it is.
function configure_trio2o_pod {
    # stack.sh lets it write to nova.conf beside this phase, and a change of either could be lost.
    async_wait configure_neutron_nova
    local conf
    for conf in "$NOVA_CONF_DIR"/nova*.conf; do
        [[ -w "$conf" ]] || continue
        iniset "$conf" placement region_name "$POD_REGION_NAME"
        iniset "$conf" cinder os_region_name "$POD_REGION_NAME"
        iniset "$conf" neutron region_name "$TRIO2O_TOP_REGION"
        iniset "$conf" glance region_name "$TRIO2O_TOP_REGION"
    done
    if is_service_enabled cinder c-api c-vol c-sch; then
        iniset "$CINDER_CONF" nova region_name "$POD_REGION_NAME"
    fi
    if [[ -w "${NEUTRON_CONF:-}" ]]; then
        iniset "$NEUTRON_CONF" nova region_name "$TRIO2O_TOP_REGION"
        iniset "$NEUTRON_CONF" placement region_name "$POD_REGION_NAME"
    fi
}


# Keystone
# --------

# _trio2o_openstack() - The client, as the admin
function _trio2o_openstack {
    # unstack.sh has read openrc, whose demo user would go before what a cloud of clouds.yaml says.
    (
        unset "${!OS_@}"
        openstack --os-cloud devstack-admin "$@"
    )
}

function _trio2o_catalog {
    # The virtual environment, which has openstacksdk, is on stack.sh's PATH alone.
    local python=$TRIO2O_BIN_DIR/python3
    [[ -x "$python" ]] || python=python3
    "$python" "$TRIO2O_DIR/devstack/catalog.py" "$@"
}

# create_trio2o_accounts() - Trio2o's user, and the Admin API's service and endpoint

# Project              User       Roles
# ------------------------------------------------------------------
# SERVICE_PROJECT_NAME trio2o     admin, service

function create_trio2o_accounts {
    create_service_user trio2o admin
    if is_service_enabled t-oapi; then
        get_or_create_service trio2o trio2o "Trio2o Admin API" >/dev/null
        _trio2o_catalog point "$TRIO2O_TOP_REGION" "trio2o=$(_trio2o_url t-oapi)/v1.0"
    fi
}

# show_trio2o_pod() - The node's services under the pod's region, without taking them from the top's
function show_trio2o_pod {
    if is_trio2o_enabled; then
        # shellcheck disable=SC2086  # a name each
        _trio2o_catalog show-pod --beside-gateway "$TRIO2O_TOP_REGION" "$POD_REGION_NAME" $TRIO2O_OTHER_POD_REGIONS
    else
        _trio2o_catalog show-pod "$TRIO2O_TOP_REGION" "$POD_REGION_NAME"
    fi
}

# move_trio2o_endpoints() - From now on the top region is the gateway
function move_trio2o_endpoints {
    local -a now=()
    if is_service_enabled t-ngw; then
        now+=("compute=$(_trio2o_url t-ngw)/v2.1" compute_legacy= placement=)
    fi
    if is_service_enabled t-cgw; then
        now+=("volumev3=$(_trio2o_url t-cgw)/v3" "block-storage=$(_trio2o_url t-cgw)/v3")
    fi
    _trio2o_catalog point "$TRIO2O_TOP_REGION" "${now[@]}"
    # Neutron keeps a catalog as long as its token lasts, and would go on telling the pod's Nova of
    # every pod's ports.
    local unit
    for unit in q-svc neutron-api neutron-rpc-server neutron-periodic-workers; do
        if $SYSTEMCTL is-active --quiet "devstack@$unit.service"; then
            $SYSTEMCTL restart "devstack@$unit.service"
        fi
    done
}

# restore_trio2o_catalog() - As it was before stacking; a pod alone had its region from DevStack
function restore_trio2o_catalog {
    is_trio2o_enabled || return 0
    # shellcheck disable=SC2086  # a name each
    _trio2o_catalog restore "$TRIO2O_TOP_REGION" "$POD_REGION_NAME" $TRIO2O_OTHER_POD_REGIONS || return
    _trio2o_openstack user delete --domain "$SERVICE_DOMAIN_NAME" trio2o
}


# Processes
# ---------

# install_trio2o() - From the checkout, with the openstack client's commands
function install_trio2o {
    setup_develop "$TRIO2O_DIR"
}

# start_trio2o() - Start what is enabled here, and wait for it
function start_trio2o {
    local service
    for service in $(_trio2o_http_services); do
        if [[ "$TRIO2O_USE_UWSGI" == "True" ]]; then
            run_process "$service" \
                "$(which uwsgi) --procname-prefix $(_trio2o_name "$service") --ini $(_trio2o_uwsgi_conf "$service")"
        else
            run_process "$service" "$TRIO2O_BIN_DIR/$(_trio2o_name "$service") --config-file $TRIO2O_CONF"
        fi
        if is_service_enabled tls-proxy; then
            start_tls_proxy "$(_trio2o_name "$service")" '*' "$(_trio2o_port "$service")" \
                "$(_trio2o_host "$service")" "$(_trio2o_listen_port "$service")"
        fi
    done
    if is_service_enabled t-ojob; then
        run_process t-ojob "$TRIO2O_BIN_DIR/trio2o-xjob --config-file $TRIO2O_CONF"
    fi
    for service in $(_trio2o_http_services); do
        echo "Waiting for $(_trio2o_name "$service") to start..."
        if ! wait_for_service "$SERVICE_TIMEOUT" "$(_trio2o_url "$service")/healthcheck"; then
            die $LINENO "$(_trio2o_name "$service") did not start"
        fi
    done
}

function stop_trio2o {
    local service
    for service in "${TRIO2O_SERVICES[@]}"; do
        stop_process "$service"
    done
}

# cleanup_trio2o() - No file is left
function cleanup_trio2o {
    local service
    for service in t-oapi t-ngw t-cgw; do
        remove_uwsgi_config "$(_trio2o_uwsgi_conf "$service")" "$(_trio2o_name "$service")"
        if is_service_enabled tls-proxy; then
            sudo rm -f "$(apache_site_config_for "$(_trio2o_name "$service")-tls-proxy")"
        fi
    done
    sudo rm -rf "$TRIO2O_CONF_DIR" "$TRIO2O_STATE_PATH"
}


# Pods
# ----

# _trio2o_admin() - Call the Admin API: method, path, body; prints what it answers
function _trio2o_admin {
    # The token comes on standard input: a command line is for everyone to see.
    curl -sS --fail-with-body -g -k --noproxy '*' -X "$1" -H @- -H 'Content-Type: application/json' \
        ${3:+-d "$3"} "$(_trio2o_url t-oapi)/v1.0/$2" <<<"X-Auth-Token: $TRIO2O_TOKEN"
}

# _register_trio2o_pod() - Make a region known, once: its name, its zone, the zone's name inside
function _register_trio2o_pod {
    if [[ "$(_trio2o_admin GET "pods?pod_name=$1")" == *"\"$1\""* ]]; then
        return
    fi
    local answer
    answer=$(_trio2o_admin POST pods \
        "{\"pod\": {\"pod_name\": \"$1\", \"az_name\": \"$2\", \"pod_az_name\": \"$3\"}}")
    if [[ -n "$2" ]]; then
        _await_trio2o_pod "$(_trio2o_pod_id "$answer")"
    fi
}

# _trio2o_pod_id() - The first pod's id in an answer
function _trio2o_pod_id {
    local id=${1#*\"pod_id\":\"}
    echo "${id%%\"*}"
}

# _await_trio2o_pod() - Until a pod has joined: its flavors and types are the cloud's, and the other way round
function _await_trio2o_pod {
    local deadline
    deadline=$((SECONDS + SERVICE_TIMEOUT))
    until [[ "$(_trio2o_admin GET "jobs?type=sync_pod&state=success&resource_key=$1")" == *'"sync_pod"'* ]]; do
        if [[ $SECONDS -ge $deadline ]]; then
            warn $LINENO "the pod $1 is out of sync with the others: see the jobs of the Admin API"
            return 0
        fi
        sleep 1
    done
}

# register_trio2o_pods() - The top region and this node's pod
function register_trio2o_pods {
    local TRIO2O_TOKEN
    TRIO2O_TOKEN=$(_trio2o_openstack token issue -f value -c id)
    if is_trio2o_enabled; then
        _register_trio2o_pod "$TRIO2O_TOP_REGION" "" ""
    fi
    _register_trio2o_pod "$POD_REGION_NAME" "$TRIO2O_AZ_NAME" "$TRIO2O_POD_AZ_NAME"
}

# forget_trio2o_pod() - Another node's gateway asks this node no more: what was in it will be gone
function forget_trio2o_pod {
    ! is_trio2o_enabled || return 0
    local TRIO2O_TOKEN answer
    TRIO2O_TOKEN=$(_trio2o_openstack token issue -f value -c id) || return
    answer=$(_trio2o_admin GET "pods?pod_name=$POD_REGION_NAME") || return
    if [[ "$answer" == *"\"$POD_REGION_NAME\""* ]]; then
        _trio2o_admin DELETE "pods/$(_trio2o_pod_id "$answer")?force=true" >/dev/null
    fi
}

# configure_trio2o_tempest() - What tempest must know of a gateway
function configure_trio2o_tempest {
    iniset "$TEMPEST_CONFIG" service_available trio2o True
    iniset "$TEMPEST_CONFIG" trio2o catalog_type trio2o
    iniset "$TEMPEST_CONFIG" trio2o region "$TRIO2O_TOP_REGION"
    iniset "$TEMPEST_CONFIG" identity region "$TRIO2O_TOP_REGION"
    iniset "$TEMPEST_CONFIG" compute region "$TRIO2O_TOP_REGION"
    iniset "$TEMPEST_CONFIG" volume region "$TRIO2O_TOP_REGION"
    # A pod's own: the gateway has none.
    iniset "$TEMPEST_CONFIG" placement region "$POD_REGION_NAME"
}


# Phases
# ------

if [[ "$1" == "stack" && "$2" == "install" ]]; then
    echo_summary "Installing Trio2o"
    install_trio2o
elif [[ "$1" == "stack" && "$2" == "post-config" ]]; then
    echo_summary "Configuring Trio2o"
    if is_trio2o_enabled; then
        configure_trio2o
        init_trio2o
        create_trio2o_accounts
    fi
    configure_trio2o_pod
    show_trio2o_pod
elif [[ "$1" == "stack" && "$2" == "extra" ]]; then
    echo_summary "Starting Trio2o"
    if is_trio2o_enabled; then
        start_trio2o
        move_trio2o_endpoints
    fi
    register_trio2o_pods
elif [[ "$1" == "stack" && "$2" == "test-config" ]]; then
    if is_service_enabled tempest; then
        echo_summary "Configuring tempest for Trio2o"
        configure_trio2o_tempest
    fi
elif [[ "$1" == "unstack" ]]; then
    echo_summary "Stopping Trio2o"
    stop_trio2o
    # Keystone is a part of what is about to stop; a node that was never stacked has none.
    restore_trio2o_catalog || warn $LINENO "Keystone's catalog could not be put back"
    forget_trio2o_pod || warn $LINENO "the gateway still knows the pod $POD_REGION_NAME: openstack trio2o pod delete"
elif [[ "$1" == "clean" ]]; then
    echo_summary "Removing Trio2o's files"
    cleanup_trio2o
fi

# Restore xtrace
$_XTRACE_TRIO2O
