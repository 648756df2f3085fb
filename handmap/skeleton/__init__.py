"""The hand as a body: bones of constant length, joint angles within human limits, and their fit to the network's joints."""
