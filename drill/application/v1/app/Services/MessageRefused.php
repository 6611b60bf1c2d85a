<?php

namespace App\Services;

use RuntimeException;

/** The message certainly did not go out, so trying again cannot send it twice. */
class MessageRefused extends RuntimeException
{
}
