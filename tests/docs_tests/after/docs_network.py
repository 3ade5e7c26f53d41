import re

requests = servers["8080"].requests
keys = {request.headers.get("authorization") for request in requests} - {None}
signatures = {key for key in keys if re.fullmatch("HMAC-SHA256 Signature=[0-9a-f]{64}", key)}
assert signatures
assert keys - signatures == {"Bearer gw-an-hours-token"}
