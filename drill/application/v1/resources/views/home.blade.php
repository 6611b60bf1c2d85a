@extends('layouts.app')

@section('title', 'WhatsApp campaigns')

@section('content')
    @auth
        <p><a href="{{ route('campaigns.index') }}">Your campaigns</a></p>
    @else
        <p><a href="{{ route('login') }}">Log in</a> to send a campaign.</p>
    @endauth
@endsection
