@extends('layouts.app')

@section('title', 'Log in')

@section('content')
    <form method="post" action="{{ route('login') }}">
        @csrf
        <label>Email <input type="email" name="email" value="{{ old('email') }}" required autofocus></label>
        <label>Password <input type="password" name="password" autocomplete="current-password" required></label>
        <button>Log in</button>
    </form>
@endsection
