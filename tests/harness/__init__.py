"""What the wire tests share: upstreams that obey or misbehave, a real gateway, clients of both fronts.

Nothing here may import the gateway's own code besides the generated protobuf classes.
"""
