"""Starts ministack with what the suites need mended. It is pinned: each mend checks that it still finds its place."""

import copy
import json
import threading

from ministack import app
from ministack.core import lambda_runtime
from ministack.services import dynamodb, eventbridge, lambda_svc, sqs, stepfunctions
from ministack.services.cloudformation import provisioners


def keep_error_names():
    """A function's error keeps its name, by which state machines retry and catch; ministack calls each one
    Runtime.HandlerError. And what ministack puts into an event for its own use stays out of the caller's copy."""
    old = "status: \"error\", error: String(err.message || err), trace"
    new = "status: \"error\", error: String(err.message || err), errorType: err && err.name, trace"
    assert lambda_runtime._NODEJS_WORKER_SCRIPT.count(old) == 1
    lambda_runtime._NODEJS_WORKER_SCRIPT = lambda_runtime._NODEJS_WORKER_SCRIPT.replace(old, new)

    last = threading.local()
    invoke = lambda_runtime.Worker.invoke
    execute = lambda_svc._execute_function_warm

    def remember(self, event, request_id):
        result = invoke(self, event, request_id)
        last.error = result.get("errorType")
        return result

    def named(function, event):
        last.error = None
        result = execute(function, copy.deepcopy(event))
        if result.get("error") and last.error:
            result["body"]["errorType"] = last.error
        return result

    lambda_runtime.Worker.invoke = remember
    lambda_svc._execute_function_warm = named


def retry_and_catch_maps():
    """Retry and Catch of Map and Parallel states, which ministack knows for Task states only."""

    def mended(execute):
        def run(state, raw_input, execution, context):
            attempts = {}
            while True:
                try:
                    return execute(state, raw_input, execution, context)
                except stepfunctions._ExecutionError as failure:
                    retrier, i = stepfunctions._find_matching_retrier(
                        state.get("Retry", []), failure.error, attempts
                    )
                    if retrier is not None:
                        factor = retrier.get("BackoffRate", 2.0) ** attempts.get(i, 0)
                        pause = retrier.get("IntervalSeconds", 1) * factor
                        stepfunctions._scaled_sleep(min(pause, retrier.get("MaxDelaySeconds", 60)))
                        attempts[i] = attempts.get(i, 0) + 1
                        continue
                    catcher = stepfunctions._find_matching_catcher(state.get("Catch", []), failure.error)
                    if catcher is None:
                        raise
                    output = {"Error": failure.error, "Cause": failure.cause}
                    path = catcher.get("ResultPath", "$")
                    return stepfunctions._apply_result_path_raw(path, raw_input, output), catcher["Next"]

        return run

    stepfunctions._execute_map = mended(stepfunctions._execute_map)
    stepfunctions._execute_parallel = mended(stepfunctions._execute_parallel)


def deliver_events_as_lambda_does():
    """EventBridge and Scheduler call functions asynchronously: with retries, and a destination for what failed."""

    def dispatch(arn, payload):
        function, config, name = lambda_svc._get_func_record_for_ref(arn)
        assert function and config, f"no function {name}"
        record = lambda_svc._execution_record_for_config(function, config)
        lambda_svc.invoke_async_with_retry(record, json.loads(payload))

    assert callable(eventbridge._dispatch_to_lambda)
    eventbridge._dispatch_to_lambda = dispatch


def after_create(resource_type, finish):
    handlers = provisioners._RESOURCE_HANDLERS
    create = handlers[resource_type]["create"]

    def created(logical_id, properties, stack, *rest, **named):
        made = create(logical_id, properties, stack, *rest, **named)
        finish(made[0], properties)
        return made

    handlers[resource_type] = {**handlers[resource_type], "create": created}


def keep_queue_properties(url, properties):
    attributes = sqs._queues[url]["attributes"]
    if properties.get("RedrivePolicy"):
        attributes["RedrivePolicy"] = json.dumps(dict(properties["RedrivePolicy"]))
    if "SqsManagedSseEnabled" in properties:
        attributes["SqsManagedSseEnabled"] = str(properties["SqsManagedSseEnabled"]).lower()


def keep_table_properties(name, properties):
    for update, key in (
        (dynamodb._update_ttl, "TimeToLiveSpecification"),
        (dynamodb._update_continuous_backups, "PointInTimeRecoverySpecification"),
    ):
        if properties.get(key):
            update({"TableName": name, key: properties[key]})


if __name__ == "__main__":
    keep_error_names()
    retry_and_catch_maps()
    deliver_events_as_lambda_does()
    after_create("AWS::SQS::Queue", keep_queue_properties)
    after_create("AWS::DynamoDB::Table", keep_table_properties)
    app.main()
