# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs Trio2o on a DevStack node: the gateway, with the node's own Nova, Placement and Cinder as the first pod; or,
# if the services t-* are disabled, a pod for the gateway of another node.
#
#   stack post-config   write the configuration, create the database, and add the node's services to the region of
#                       the pod; they stay in the top region, too
#   stack extra         start the gateway, change the endpoints of the top region to it, and register the pod
#   stack test-config   write tempest.conf
#   unstack             stop the services and restore the catalog; a node that is only a pod deletes the pod from the
#                       gateway
#   clean               delete all files
#
# The node's services find each other in the region of the pod, and Keystone, Glance and Neutron, which all pods share,
# in the top region. Neutron sends its events for Nova to the top region, because only the gateway knows the pod of a
# server.

# Save trace setting
_XTRACE_TRIO2O=$(set +o | grep xtrace)
set +o xtrace

TRIO2O_SERVICES=(t-oapi t-ngw t-cgw t-ojob)


# Facts
# -----

# is_trio2o_enabled() - Whether a service of the gateway runs on this node
function is_trio2o_enabled {
    is_service_enabled "${TRIO2O_SERVICES[@]}"
}

# _trio2o_name() - The name of a service in its command, its site and its files
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

# _trio2o_application() - The name of a service in its WSGI module and its section of trio2o.conf
function _trio2o_application {
    case $1 in
        t-oapi) echo api ;;
        t-ngw) echo nova_apigw ;;
        t-cgw) echo cinder_apigw ;;
    esac
}

# _trio2o_host() and _trio2o_port() - The address of a service for clients
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

# _trio2o_listen_port() - The port on which a service listens, another one behind tls-proxy
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

# _trio2o_http_services() - The enabled services of the gateway that serve HTTP
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

# configure_trio2o() - Write trio2o.conf and the uWSGI files
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
    else
        iniset "$TRIO2O_CONF" dashboard allow_http True
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
        # The request does not contain the scheme that the client used with the proxy.
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

# init_trio2o() - Create the database again, at the newest revision
function init_trio2o {
    recreate_database trio2o
    "$TRIO2O_BIN_DIR/trio2o-db-manage" --config-file "$TRIO2O_CONF" db_sync
}

# configure_trio2o_pod() - Set the regions in which the node's services find others
# They do not run yet; DevStack makes the file of nova-compute from nova.conf when it starts nova-compute.
function configure_trio2o_pod {
    # stack.sh runs this function, which writes to nova.conf, at the same time, so a change could be lost.
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

# _trio2o_openstack() - Run the openstack client as the admin
function _trio2o_openstack {
    # unstack.sh has sourced openrc, whose variables would override those of the cloud in clouds.yaml.
    (
        unset "${!OS_@}"
        openstack --os-cloud devstack-admin "$@"
    )
}

function _trio2o_catalog {
    # openstacksdk is in the virtual environment, which is in the PATH of stack.sh only.
    local python=$TRIO2O_BIN_DIR/python3
    [[ -x "$python" ]] || python=python3
    "$python" "$TRIO2O_DIR/devstack/catalog.py" "$@"
}

# create_trio2o_accounts() - Create Trio2o's user, and the service and endpoint of the Admin API

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

# show_trio2o_pod() - Add the node's services to the pod's region, and leave them in the top region
function show_trio2o_pod {
    if is_trio2o_enabled; then
        # shellcheck disable=SC2086  # one argument for each region
        _trio2o_catalog show-pod --beside-gateway "$TRIO2O_TOP_REGION" "$POD_REGION_NAME" $TRIO2O_OTHER_POD_REGIONS
    else
        _trio2o_catalog show-pod "$TRIO2O_TOP_REGION" "$POD_REGION_NAME"
    fi
}

# move_trio2o_endpoints() - Change the endpoints of the top region to the gateway
function move_trio2o_endpoints {
    local -a now=()
    if is_service_enabled t-ngw; then
        now+=("compute=$(_trio2o_url t-ngw)/v2.1" compute_legacy= placement=)
    fi
    if is_service_enabled t-cgw; then
        now+=("volumev3=$(_trio2o_url t-cgw)/v3" "block-storage=$(_trio2o_url t-cgw)/v3")
    fi
    _trio2o_catalog point "$TRIO2O_TOP_REGION" "${now[@]}"
    # Neutron caches the catalog until its token expires, and would send the events of all pods' ports to
    # the Nova of this pod.
    local unit
    for unit in q-svc neutron-api neutron-rpc-server neutron-periodic-workers; do
        if $SYSTEMCTL is-active --quiet "devstack@$unit.service"; then
            $SYSTEMCTL restart "devstack@$unit.service"
        fi
    done
}

# restore_trio2o_catalog() - Restore the catalog, except on a node that is only a pod, which changed nothing
function restore_trio2o_catalog {
    is_trio2o_enabled || return 0
    # shellcheck disable=SC2086  # one argument for each region
    _trio2o_catalog restore "$TRIO2O_TOP_REGION" "$POD_REGION_NAME" $TRIO2O_OTHER_POD_REGIONS || return
    _trio2o_openstack user delete --domain "$SERVICE_DOMAIN_NAME" trio2o
}


# Processes
# ---------

# install_trio2o() - Install the checkout
function install_trio2o {
    setup_develop "$TRIO2O_DIR"
}

# start_trio2o() - Start the enabled services, and wait for them
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

# cleanup_trio2o() - Delete all files
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

# _trio2o_admin() - Call the Admin API (method, path, body), and print the answer
function _trio2o_admin {
    # The token is read from standard input, because every user can see command lines.
    curl -sS --fail-with-body -g ${SSL_BUNDLE_FILE:+--cacert "$SSL_BUNDLE_FILE"} --noproxy '*' -X "$1" -H @- \
        -H 'Content-Type: application/json' \
        ${3:+-d "$3"} "$(_trio2o_url t-oapi)/v1.0/$2" <<<"X-Auth-Token: $TRIO2O_TOKEN"
}

# _register_trio2o_pod() - Register a region as a pod, if it is not (name, zone, name of the zone in the pod)
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

# _trio2o_pod_id() - Print the id of the first pod in an answer
function _trio2o_pod_id {
    local id=${1#*\"pod_id\":\"}
    echo "${id%%\"*}"
}

# _await_trio2o_pod() - Wait until a pod has the flavors and types of the cloud, and the cloud those of the pod
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

# register_trio2o_pods() - Register the top region and this node's pod
function register_trio2o_pods {
    local TRIO2O_TOKEN
    TRIO2O_TOKEN=$(_trio2o_openstack token issue -f value -c id)
    if is_trio2o_enabled; then
        _register_trio2o_pod "$TRIO2O_TOP_REGION" "" ""
    fi
    _register_trio2o_pod "$POD_REGION_NAME" "$TRIO2O_AZ_NAME" "$TRIO2O_POD_AZ_NAME"
}

# delete_trio2o_pod() - Delete this node's pod from the gateway of another node, with its routings
function delete_trio2o_pod {
    ! is_trio2o_enabled || return 0
    local TRIO2O_TOKEN answer
    TRIO2O_TOKEN=$(_trio2o_openstack token issue -f value -c id) || return
    answer=$(_trio2o_admin GET "pods?pod_name=$POD_REGION_NAME") || return
    if [[ "$answer" == *"\"$POD_REGION_NAME\""* ]]; then
        _trio2o_admin DELETE "pods/$(_trio2o_pod_id "$answer")?force=true" >/dev/null
    fi
}

# configure_trio2o_tempest() - Configure tempest for a gateway
function configure_trio2o_tempest {
    iniset "$TEMPEST_CONFIG" service_available trio2o True
    iniset "$TEMPEST_CONFIG" trio2o catalog_type trio2o
    iniset "$TEMPEST_CONFIG" trio2o region "$TRIO2O_TOP_REGION"
    iniset "$TEMPEST_CONFIG" identity region "$TRIO2O_TOP_REGION"
    iniset "$TEMPEST_CONFIG" compute region "$TRIO2O_TOP_REGION"
    iniset "$TEMPEST_CONFIG" volume region "$TRIO2O_TOP_REGION"
    # The top region has no Placement.
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
    # Before DevStack stops Keystone. On a node that was never stacked there is no Keystone.
    restore_trio2o_catalog || warn $LINENO "Keystone's catalog could not be restored"
    delete_trio2o_pod || warn $LINENO "the gateway still knows the pod $POD_REGION_NAME: openstack trio2o pod delete"
elif [[ "$1" == "clean" ]]; then
    echo_summary "Removing Trio2o's files"
    cleanup_trio2o
fi

# Restore xtrace
$_XTRACE_TRIO2O
